"""The programs of one cluster: what runs there against what is built, deployed, upgraded, handed over.

Addresses come from the registry, the settings and the key files; whichever of them say one must say the same.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from m0chain import ChainClient
from m0chain.keyfile import plain_key, write_plain_key
from m0common.errors import SettingsError
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from m0deploy.accounts import FUNDS_LOW_SOL, LAMPORTS_PER_SOL, fund
from m0deploy.changes import Changes
from m0deploy.clusters import TEST_CLUSTER
from m0deploy.errors import DeployError
from m0deploy.loader import Loader, sol
from m0deploy.loader_accounts import Deployed, deployed
from m0deploy.program_ids import KnownPrograms

FEES_LAMPORTS = LAMPORTS_PER_SOL // 10
"""More than the fees of all transactions that a program is written in."""


class Verified(NamedTuple):
    """One program: the hash, hex, of its file, of what runs and of the registry's (None: any); `evidence` says what is
    wrong, or what is there.
    """

    name: str
    id: str
    ok: bool
    built_sha256: str
    chain_sha256: str | None
    registry_sha256: str | None
    slot: int | None
    authority: str | None
    evidence: str


@dataclass(frozen=True, slots=True)
class ClusterPrograms:
    """The programs of a cluster, through a node of it."""

    client: ChainClient
    known: KnownPrograms

    def makes_keys(self, changes: Changes) -> bool:
        """Whether keys that are missing are made: where something is done, on a test cluster."""
        return changes.applies and self.known.cluster == TEST_CLUSTER

    async def verify(self, code: Mapping[str, bytes]) -> list[Verified]:
        """What runs against what is built and registered. Raises ChainError, SettingsError, DeployError."""
        registered = self.known.registry.of(self.known.cluster)
        return [
            _verified(name, address, code[name], registered[name].sha256 if name in registered else None, found)
            for name, address in self.known.needed(list(code)).items()
            for found in [await deployed(self.client, address)]
        ]

    async def deploy(self, code: Mapping[str, bytes], authority: Keypair, changes: Changes) -> None:
        """Deploy what is not there. Raises DeployError for a program that runs something else, ChainError."""
        site = self.known.site
        if site is None:
            raise SettingsError("no folder holds the programs' keys: name the deployment's with --dir")
        keys = {name: key_of(site.program_key(name), make=self.makes_keys(changes)) for name in code}
        ids = self.known.needed(list(code))
        self._refuse_unregistered(ids, code)
        for name, key in keys.items():
            if key.pubkey() != ids[name]:
                raise SettingsError(f"{site.program_key(name)} is the key of {key.pubkey()}, not of {ids[name]}")
        loader, found = Loader(self.client, authority, changes), await self._found(ids)
        for name, there in found.items():
            if there is not None and not there.runs(code[name]):
                raise DeployError(f"program {name}, {ids[name]}, runs other bytes: `m0 programs upgrade` changes them")
        await self._fund(loader, {n: code[n] for n in found if found[n] is None}, found, authority, changes)
        for name, key in keys.items():
            await loader.bring(name, key, code[name], found[name])

    async def upgrade(self, code: Mapping[str, bytes], authority: Keypair, changes: Changes) -> None:
        """Upgrade what runs something else. Raises DeployError for a program that is not there, ChainError."""
        ids = self.known.needed(list(code))
        self._refuse_unregistered(ids, code)
        loader, found = Loader(self.client, authority, changes), await self._found(ids)
        due = {name: there for name, there in found.items() if there is None or not there.runs(code[name])}
        for name, there in due.items():
            if there is None:
                raise DeployError(f"program {name}, {ids[name]}, is not there: `m0 programs deploy` brings it there")
            loader.refuse_another(name, ids[name], there)
        await self._fund(loader, {name: code[name] for name in due}, found, authority, changes)
        for name, there in due.items():
            if there is not None:
                await loader.upgrade(name, ids[name], code[name], there)

    async def hand_over(self, names: Sequence[str], authority: Keypair, heir: Keypair, changes: Changes) -> None:
        """Give another key the right to upgrade. Raises DeployError for a program that is not there, ChainError."""
        ids, loader = self.known.needed(names), Loader(self.client, authority, changes)
        for name, there in (await self._found(ids)).items():
            if there is None:
                raise DeployError(f"program {name}, {ids[name]}, is not there: `m0 programs deploy` brings it there")
            await loader.hand_over(name, ids[name], there, heir)

    async def _found(self, ids: Mapping[str, Pubkey]) -> dict[str, Deployed | None]:
        return {name: await deployed(self.client, address) for name, address in ids.items()}

    def _refuse_unregistered(self, ids: Mapping[str, Pubkey], code: Mapping[str, bytes]) -> None:
        """A public cluster's addresses are written down before anything is deployed there."""
        self.known.registry.refuse_new(self.known.cluster, ids)
        self.known.registry.refuse_other_bytes(self.known.cluster, code)

    async def _fund(
        self,
        loader: Loader,
        due: Mapping[str, bytes],
        found: Mapping[str, Deployed | None],
        payer: Keypair,
        changes: Changes,
    ) -> None:
        """See that who pays can; a test cluster gives what is missing."""
        if not due:
            return
        needed = sum([await loader.lamports(code, found[name]) for name, code in due.items()]) + FEES_LAMPORTS
        held = await self.client.balance(payer.pubkey())
        if self.known.cluster == TEST_CLUSTER and held < max(needed, FUNDS_LOW_SOL * LAMPORTS_PER_SOL):
            await fund(self.client, changes, "the authority", payer.pubkey())
        elif self.known.cluster != TEST_CLUSTER and held < needed:
            changes.want(f"{payer.pubkey()} has {sol(held)} SOL: send it at least {sol(needed - held)} SOL")


def key_of(file: Path, *, make: bool) -> Keypair:
    """The key in `file`; where it is missing a new one, as on a test cluster. Raises SettingsError."""
    if file.exists() or not make:
        if not file.exists():
            raise SettingsError(f"key file {file} does not exist: name the deployment's folder, in which it lies")
        return plain_key(file)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"folder {file.parent} for keys cannot be made: {error.strerror}") from error
    key = Keypair()
    write_plain_key(file, key)
    return key


def _verified(name: str, address: Pubkey, code: bytes, wanted: str | None, found: Deployed | None) -> Verified:
    ours = hashlib.sha256(code).hexdigest()
    if found is None:
        return Verified(name, str(address), False, ours, None, wanted, None, None, "nothing is there")
    runs = found.sha256(len(code))
    faults = [
        sentence
        for holds, sentence in (
            (found.executable, "it is not executable"),
            (found.runs(code), f"it runs sha256 {runs}, built is {ours}"),
            (wanted in (None, runs), f"it runs sha256 {runs}, registered is {wanted}"),
        )
        if not holds
    ]
    authority = None if found.authority is None else str(found.authority)
    said = (
        f"runs the {len(code)} built bytes, sha256 {ours}, since slot {found.slot}; upgraded by {authority or 'nobody'}"
    )
    return Verified(
        name, str(address), not faults, ours, runs, wanted, found.slot, authority, "; ".join(faults) or said
    )
