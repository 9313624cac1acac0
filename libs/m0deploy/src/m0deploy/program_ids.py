"""The addresses of a cluster's programs, out of the registry, the settings and the key files, which must agree."""

from collections.abc import Sequence
from dataclasses import dataclass

from m0chain.keyfile import plain_key
from m0common.errors import SettingsError
from m0common.settings import Settings
from solders.pubkey import Pubkey

from m0deploy.keys import PROGRAMS
from m0deploy.program_registry import Registry, ids_of
from m0deploy.site import Site


@dataclass(frozen=True, slots=True)
class KnownPrograms:
    """What is known of a cluster's programs before its node is asked; `settings` and `site` may be missing."""

    cluster: str
    registry: Registry
    settings: Settings | None = None
    site: Site | None = None

    def ids(self) -> dict[str, Pubkey]:
        """The address of each program that anything names. Raises SettingsError where two say another one."""
        said: dict[str, tuple[str, str]] = {}
        if self.site is not None:
            files = {name: self.site.program_key(name) for name in PROGRAMS}
            said |= {name: (str(file), str(plain_key(file).pubkey())) for name, file in files.items() if file.exists()}
        if self.settings is not None and self.settings.solana.cluster == self.cluster:
            for name, (who, address) in ids_of(self.settings).items():
                other, theirs = said.get(name, (who, address))
                if theirs != address:
                    raise SettingsError(
                        f"{who} is {address}, and {other} is that of {theirs}: name one program by both"
                    )
                said[name] = (who, address)
        if faults := self.registry.differing(self.cluster, said):
            raise SettingsError(*faults)
        known = {name: entry.id for name, entry in self.registry.of(self.cluster).items()}
        found = {name: address for name, (_, address) in said.items()} | known
        return {name: _key(name, address) for name, address in found.items() if name in PROGRAMS}

    def needed(self, names: Sequence[str]) -> dict[str, Pubkey]:
        """The same of these programs. Raises SettingsError for one without an address."""
        ids = self.ids()
        for name in names:
            if name not in ids:
                raise SettingsError(
                    f"nothing says the address of program {name} on {self.cluster}: register it, name the deployment's "
                    f"folder with --dir, or set M0_{name.upper()}_PROGRAM_ID"
                )
        return {name: ids[name] for name in names}


def _key(name: str, address: str) -> Pubkey:
    try:
        return Pubkey.from_string(address)
    except ValueError:
        raise SettingsError(f"the address of program {name} is {address!r}: write 32 bytes in base58") from None
