"""What ingest asks of the chain."""

from m0chain import ChainClient, ChainError


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
