"""The accounts both programs need before the first epoch: roots, signer set and catalogs.

Each function creates what is missing and compares what exists with what is wanted; what the chain cannot change is an
error that says so.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from m0chain import ChainClient, Oracle, Registry, Sender, accounts, pda
from solders.instruction import Instruction

from m0local.errors import LocalStackError
from m0local.provision.chain.keys import Keys

SIGNER_SET_ID = 1
THRESHOLD = 2
LAMPORTS_PER_SOL = 1_000_000_000
_FUNDS_SOL = 500
_FUNDS_LOW_SOL = 100


@dataclass(frozen=True, slots=True)
class ChainCatalog:
    """What the oracle program is told of a catalog, once and for all; times in ms."""

    epoch_ms: int
    commit_ms: int
    reveal_ms: int
    signer_set_id: int


class Accounts:
    """Sets up the programs of `keys` as their admin."""

    def __init__(self, client: ChainClient, keys: Keys) -> None:
        self._client, self._keys = client, keys
        self._sender = Sender(client)
        self._oracle = Oracle(keys.oracle.pubkey())
        self._registry = Registry(keys.registry.pubkey())
        self._admin = keys.admin.pubkey()

    async def fund(self) -> None:
        """Give everybody who pays fees or rent a test cluster's lamports, when they run low."""
        keys = self._keys
        payers = [self._admin, keys.registrar.pubkey(), keys.resolver.pubkey(), *keys.signers.values()]
        found = await self._client.accounts(payers)
        low = [
            payer
            for payer, account in zip(payers, found, strict=True)
            if account is None or account.lamports < _FUNDS_LOW_SOL * LAMPORTS_PER_SOL
        ]
        await asyncio.gather(*(self._client.airdrop(payer, _FUNDS_SOL * LAMPORTS_PER_SOL) for payer in low))

    async def roots(self) -> None:
        """Config of the oracle and root of the registry, with the roles of `keys`."""
        keys = self._keys
        roles = (keys.guardian.pubkey(), keys.registrar.pubkey(), keys.resolver.pubkey())
        root_account, config_account = await self._client.accounts(
            [pda.registry_root(self._registry.program), pda.config(self._oracle.program)]
        )
        missing = []
        if root_account is None:
            missing.append(self._registry.initialize_root(self._admin, self._admin, *roles))
        else:
            root = accounts.root(root_account.data)
            self._check_admin("registry", str(root.admin))
            if (root.guardian, root.registrar, root.resolver) != roles:
                missing.append(self._registry.set_roles(self._admin, *roles))
        if config_account is None:
            missing.append(self._oracle.initialize(self._admin, self._admin, roles[0], self._registry.program))
        else:
            config = accounts.config(config_account.data)
            self._check_admin("oracle", str(config.admin))
            if config.guardian != roles[0]:
                missing.append(self._oracle.set_guardian(self._admin, roles[0]))
        await self._send(missing)

    async def signer_set(self) -> None:
        """The set of all signers of `keys`, two of whom make a quorum."""
        wanted = sorted(self._keys.signers.values(), key=bytes)
        found = await self._client.account(pda.signer_set(self._oracle.program, SIGNER_SET_ID))
        if found is None:
            await self._send(
                [self._oracle.create_signer_set(self._admin, self._admin, SIGNER_SET_ID, THRESHOLD, wanted)]
            )
            return
        existing = accounts.signer_set(found.data)
        if existing.keys != wanted or existing.threshold != THRESHOLD or existing.retired:
            raise LocalStackError(
                f"Signer set {SIGNER_SET_ID} on chain is not that of the keys directory: restore the signers' key "
                "files, or `make clean` to start a new chain."
            )

    async def catalogs(self, wanted: Mapping[str, ChainCatalog]) -> None:
        """Every configured catalog, in both programs."""
        missing: list[Instruction] = []
        addresses = [
            address
            for name in wanted
            for address in (pda.catalog(self._registry.program, name), pda.catalog(self._oracle.program, name))
        ]
        found = await self._client.accounts(addresses)
        for i, (name, catalog) in enumerate(wanted.items()):
            in_registry, in_oracle = found[2 * i], found[2 * i + 1]
            if in_registry is None:
                missing.append(self._registry.create_catalog(self._admin, self._admin, name))
            if in_oracle is None:
                missing.append(
                    self._oracle.create_catalog(
                        self._admin,
                        self._admin,
                        name,
                        catalog.signer_set_id,
                        catalog.epoch_ms,
                        catalog.commit_ms,
                        catalog.reveal_ms,
                    )
                )
            else:
                _check_catalog(accounts.catalog(in_oracle.data), catalog)
        await self._send(missing)

    async def _send(self, instructions: Sequence[Instruction]) -> None:
        """One transaction each, at the same time: they do not depend on one another."""
        await asyncio.gather(*(self._sender.send([each], [self._keys.admin]) for each in instructions))

    def _check_admin(self, program: str, admin: str) -> None:
        if admin != str(self._admin):
            raise LocalStackError(
                f"The admin of the {program} on chain is {admin}, not this stack's: restore the keys directory, or "
                "`make clean` to start a new chain."
            )


def _check_catalog(existing: accounts.Catalog, wanted: ChainCatalog) -> None:
    for name in ("epoch_ms", "commit_ms", "reveal_ms", "signer_set_id"):
        on_chain, configured = getattr(existing, name), getattr(wanted, name)
        if on_chain != configured:
            raise LocalStackError(
                f"Catalog {existing.catalog} was created on chain with {name} = {on_chain}, the configuration says "
                f"{configured}: restore the setting, or `make clean` to start a new chain."
            )
