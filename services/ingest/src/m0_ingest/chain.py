"""What ingest asks of the chain."""

from contextlib import AsyncExitStack
from pathlib import Path

from m0chain import ChainClient, ChainError, Programs, Registry, node_client
from m0chain.keyfile import plain_key
from m0common.settings import Settings

from m0_ingest.listing import ChainRegistry


class Chain:
    """The time of a Solana node."""

    def __init__(self, client: ChainClient) -> None:
        self._client = client

    async def chain_time(self) -> int | None:
        """See ChainTime."""
        try:
            return (await self._client.chain_time()).unix_ms
        except ChainError:
            return None


def chain_parts(settings: Settings, stack: AsyncExitStack) -> tuple[ChainRegistry, Chain]:
    """The registry program of the settings, with the registrar's key, and the chain's clock.

    Raises SettingsError when a program or the key is missing.
    """
    programs = Programs.of(settings)
    client = node_client(settings.solana, programs)
    stack.push_async_callback(client.close)
    registrar = plain_key(Path(settings.keys_dir) / "registrar.json")
    top_up = settings.solana.cluster == "localnet"
    return ChainRegistry(client, Registry(programs.registry), registrar, top_up=top_up), Chain(client)
