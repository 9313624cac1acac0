"""The deployed programs as keys, out of the one place where a deployment names them."""

from dataclasses import dataclass

from m0common.deployment import program_id
from m0common.settings import Settings, Solana
from solders.pubkey import Pubkey

from m0chain.idl import Idl, oracle, registry
from m0chain.rpc import ChainClient, Timing


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs that services call and follow."""

    oracle: Pubkey
    registry: Pubkey

    @classmethod
    def of(cls, settings: Settings) -> "Programs":
        """The programs of the settings. Raises SettingsError naming the variable of one that is missing."""
        return cls(Pubkey(program_id(settings, "oracle")), Pubkey(program_id(settings, "registry")))

    def idls(self) -> dict[Pubkey, Idl]:
        """Their interfaces, by which errors are named."""
        return {self.oracle: oracle(), self.registry: registry()}


def node_client(settings: Solana, programs: Programs | None = None, *, commitment: str = "confirmed") -> ChainClient:
    """A client of the node in the settings that can name errors of `programs`."""
    timing = Timing(request_s=settings.request_timeout_ms / 1000)
    return ChainClient(
        settings.rpc_url, commitment=commitment, timing=timing, idls=programs.idls() if programs is not None else None
    )
