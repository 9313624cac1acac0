"""The accounts both programs need before the first epoch: roots, signer set and catalogs.

Each function creates what is missing and compares what exists with what is wanted; what the chain cannot change is an
error that says so.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from m0chain import ChainClient, Oracle, Registry, Sender, accounts, pda
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from m0deploy.changes import Changes
from m0deploy.errors import ANEW, DeployError
from m0deploy.keys import Keys

SIGNER_SET_ID = 1
LAMPORTS_PER_SOL = 1_000_000_000
FUNDS_SOL = 500
"""What a test cluster gives to who has less than FUNDS_LOW_SOL there."""
FUNDS_LOW_SOL = 100
NEEDED_SOL = {"admin": 5, "registrar": 1, "resolver": 1}
"""What each must have elsewhere: the admin pays for the programs' accounts, the others for markets. Signers need 1."""


def threshold(signers: int) -> int:
    """How many of so many signers make a quorum: the smallest majority."""
    return signers // 2 + 1


async def fund(client: ChainClient, changes: Changes, name: str, payer: Pubkey) -> None:
    """Ask a test cluster for lamports."""
    airdrop = partial(client.airdrop, payer, FUNDS_SOL * LAMPORTS_PER_SOL)
    await changes.make(f"give {name} {payer} {FUNDS_SOL} SOL of this test cluster", airdrop)


@dataclass(frozen=True, slots=True)
class ChainCatalog:
    """What the oracle program is told of a catalog, once and for all; times in ms."""

    epoch_ms: int
    commit_ms: int
    reveal_ms: int
    signer_set_id: int


class Accounts:
    """Sets up the programs of `keys` as their admin."""

    def __init__(self, client: ChainClient, keys: Keys, changes: Changes) -> None:
        self._client, self._keys, self._changes = client, keys, changes
        self._sender = Sender(client)
        self._oracle = Oracle(keys.oracle.pubkey())
        self._registry = Registry(keys.registry.pubkey())
        self._admin = keys.admin.pubkey()

    async def fund(self, *, test_cluster: bool) -> None:
        """Give everybody who pays fees or rent a test cluster's lamports when they run low; elsewhere say who needs
        some.
        """
        keys = self._keys
        payers = {
            "admin": self._admin,
            "registrar": keys.registrar.pubkey(),
            "resolver": keys.resolver.pubkey(),
            **keys.signers,
        }
        found = await self._client.accounts(list(payers.values()))
        held = {name: 0 if account is None else account.lamports for name, account in zip(payers, found, strict=True)}
        due, short = [], []
        for name, payer in payers.items():
            needed = FUNDS_LOW_SOL if test_cluster else NEEDED_SOL.get(name, 1)
            if held[name] >= needed * LAMPORTS_PER_SOL:
                continue
            if test_cluster:
                due.append(fund(self._client, self._changes, name, payer))
            else:
                has = held[name] / LAMPORTS_PER_SOL
                short.append(f"{name} {payer} has {has:g} SOL: send it at least {needed} SOL")
        if short:
            self._changes.want("; ".join(short))
        await asyncio.gather(*due)

    async def roots(self) -> None:
        """Config of the oracle and root of the registry, with the roles of `keys`."""
        keys = self._keys
        roles = (keys.guardian.pubkey(), keys.registrar.pubkey(), keys.resolver.pubkey())
        root_account, config_account = await self._client.accounts(
            [pda.registry_root(self._registry.program), pda.config(self._oracle.program)]
        )
        due = []
        if root_account is None:
            initialize = self._registry.initialize_root(self._admin, self._admin, *roles)
            due.append(
                self._send("initialize the registry with its admin, guardian, registrar and resolver", initialize)
            )
        else:
            root = accounts.root(root_account.data)
            self._check_admin("registry", str(root.admin))
            if (root.guardian, root.registrar, root.resolver) != roles:
                roles_now = self._registry.set_roles(self._admin, *roles)
                due.append(self._send("give the registry's roles to the keys of this folder", roles_now))
        if config_account is None:
            initialize = self._oracle.initialize(self._admin, self._admin, roles[0], self._registry.program)
            due.append(self._send("initialize the oracle with its admin and guardian", initialize))
        else:
            config = accounts.config(config_account.data)
            self._check_admin("oracle", str(config.admin))
            if config.guardian != roles[0]:
                guardian = self._oracle.set_guardian(self._admin, roles[0])
                due.append(self._send("make the guardian of this folder the oracle's", guardian))
        await asyncio.gather(*due)

    async def signer_set(self) -> None:
        """The set of all signers of `keys`, of whom the smallest majority is a quorum."""
        wanted = sorted(self._keys.signers.values(), key=bytes)
        quorum = threshold(len(wanted))
        found = await self._client.account(pda.signer_set(self._oracle.program, SIGNER_SET_ID))
        if found is None:
            create = self._oracle.create_signer_set(self._admin, self._admin, SIGNER_SET_ID, quorum, wanted)
            await self._send(f"create signer set {SIGNER_SET_ID}: {quorum} of {len(wanted)} signers", create)
            return
        existing = accounts.signer_set(found.data)
        if existing.keys != wanted or existing.threshold != quorum or existing.retired:
            raise DeployError(
                f"signer set {SIGNER_SET_ID} on chain is not that of the keys directory: restore the signers' key "
                f"files, {ANEW}"
            )

    async def catalogs(self, wanted: Mapping[str, ChainCatalog]) -> None:
        """Every configured catalog, in both programs."""
        addresses = [
            address
            for name in wanted
            for address in (pda.catalog(self._registry.program, name), pda.catalog(self._oracle.program, name))
        ]
        found = await self._client.accounts(addresses)
        due = []
        for i, (name, catalog) in enumerate(wanted.items()):
            in_registry, in_oracle = found[2 * i], found[2 * i + 1]
            if in_registry is None:
                create = self._registry.create_catalog(self._admin, self._admin, name)
                due.append(self._send(f"create catalog {name} in the registry", create))
            if in_oracle is None:
                create = self._oracle.create_catalog(
                    self._admin,
                    self._admin,
                    name,
                    catalog.signer_set_id,
                    catalog.epoch_ms,
                    catalog.commit_ms,
                    catalog.reveal_ms,
                )
                due.append(self._send(f"create catalog {name} in the oracle: epochs of {catalog.epoch_ms} ms", create))
            else:
                _check_catalog(accounts.catalog(in_oracle.data), catalog)
        await asyncio.gather(*due)

    async def _send(self, sentence: str, instruction: Instruction) -> None:
        """One transaction each; they do not depend on one another."""
        await self._changes.make(sentence, partial(self._sender.send, [instruction], [self._keys.admin]))

    def _check_admin(self, program: str, admin: str) -> None:
        if admin != str(self._admin):
            raise DeployError(
                f"the admin of the {program} on chain is {admin}, not that of the keys directory: restore it, {ANEW}"
            )


def _check_catalog(existing: accounts.Catalog, wanted: ChainCatalog) -> None:
    for name in ("epoch_ms", "commit_ms", "reveal_ms", "signer_set_id"):
        on_chain, configured = getattr(existing, name), getattr(wanted, name)
        if on_chain != configured:
            raise DeployError(
                f"catalog {existing.catalog} was created on chain with {name} = {on_chain}, the configuration says "
                f"{configured}: restore the setting, {ANEW}"
            )
