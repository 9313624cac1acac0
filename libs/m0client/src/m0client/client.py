"""Clients of a deployment: REST for what is, WebSocket for what changes, and a node to verify against."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import httpx2

from m0client import endpoints
from m0client.checks import ProofLike, Verified
from m0client.endpoints import Endpoint
from m0client.errors import RpcError, TransportError
from m0client.models import Epoch, Info, Market, Prediction, Proof
from m0client.stream import AsyncConnect, Connect, OnRetry, async_websocket, stream, stream_async, websocket
from m0client.subscription import Event, Subscription
from m0client.verifier import AsyncVerifier, Verifier

DEFAULT_API = "http://127.0.0.1:8080"


class Client:
    """A deployment, for synchronous code.

    `base_url` is the API's address; `stream_url` the realtime server's (by default the same host, port 8090, `/ws`);
    `rpc_url` the Solana node to verify against (by default the one the API names: pass your own to trust nobody).
    `transport`, `rpc_transport` and `connect` swap the HTTP transports and the WebSocket connection.

    Methods raise TransportError, ApiError (NotFound) or DecodeError. Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_API,
        *,
        stream_url: str | None = None,
        rpc_url: str | None = None,
        oracle_program: str | None = None,
        api_key: str | None = None,
        timeout: float = 10.0,
        transport: httpx2.BaseTransport | None = None,
        rpc_transport: httpx2.BaseTransport | None = None,
        connect: Connect = websocket,
    ) -> None:
        self.base_url = base_url
        self.stream_url = stream_url or endpoints.stream_url(base_url)
        self._rpc = (rpc_url, oracle_program, timeout, rpc_transport)
        self._verifier: Verifier | None = None
        self._connect = connect
        self._http = httpx2.Client(
            base_url=base_url,
            headers=dict(endpoints.headers(api_key)),
            timeout=timeout,
            transport=transport or httpx2.HTTPTransport(retries=2),
        )

    def markets(self, catalog: str | None = None, state: str | None = None) -> Iterator[Market]:
        """All markets, page by page as they are consumed."""
        return self._pages(lambda cursor: endpoints.markets(catalog, state, cursor))

    def market(self, market_id: str) -> Market:
        """One market."""
        market: Market = self._get(endpoints.market(market_id))
        return market

    def epochs(self, catalog: str | None = None, status: str | None = None) -> Iterator[Epoch]:
        """Epochs, newest first; `status` is one of open, committing, revealing, finalized, expired."""
        return self._pages(lambda cursor: endpoints.epochs(catalog, status, cursor))

    def latest(self, market_id: str, status: str | None = None) -> Prediction:
        """The newest prediction of a market; of one `status`, "finalized" or "provisional", when it is named."""
        prediction: Prediction = self._get(endpoints.latest(market_id, status))
        return prediction

    def history(self, market_id: str) -> Iterator[Prediction]:
        """Finalized predictions of a market, newest first."""
        return self._pages(lambda cursor: endpoints.history(market_id, cursor))

    def proof(self, market_id: str, epoch_id: int | None = None) -> Proof:
        """The proof of the newest finalized prediction of a market, or of that of `epoch_id`."""
        proof: Proof = self._get(endpoints.proof(market_id, epoch_id))
        return proof

    def info(self) -> Info:
        """Cluster, node, programs, signer sets and version."""
        info: Info = self._get(endpoints.info())
        return info

    def stream(
        self,
        channels: Sequence[str],
        resume: Mapping[str, int] | None = None,
        *,
        reconnect: bool = True,
        on_retry: OnRetry | None = None,
    ) -> Iterator[Event]:
        """Snapshot, Update and Gap events of `channels`, for example `["predictions.sports", "epochs.*"]`.

        A lost connection comes back and resumes where it stopped; what cannot be resumed is announced by a Gap.
        `on_retry` is told of each loss, and may raise to end the stream. Raises StreamError when the server refuses the
        channels, TransportError when coming back is off or hopeless.
        """
        return stream(
            self.stream_url, Subscription(channels, resume), self._connect, reconnect=reconnect, on_retry=on_retry
        )

    def verify(self, proof: ProofLike) -> Verified:
        """Check a proof against the chain; see `m0client.verify`."""
        if self._verifier is None:
            rpc_url, program, timeout, transport = self._rpc
            node = rpc_url or _public_node(self.info())
            self._verifier = Verifier(node, program, timeout=timeout, transport=transport)
        return self._verifier.verify(proof)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if self._verifier is not None:
            self._verifier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # what a path answers is known to its endpoint alone, hence Any
    def _get(self, endpoint: Endpoint) -> Any:
        try:
            response = self._http.get(endpoint.path, params=endpoint.params)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise TransportError(f"{self.base_url}{endpoint.path}: {str(error) or type(error).__name__}") from error
        return endpoints.read(endpoint, response)

    def _pages(self, page_at: Callable[[str | None], Endpoint]) -> Iterator[Any]:
        cursor: str | None = None
        while True:
            page = self._get(page_at(cursor))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return


class AsyncClient:
    """As Client, for asyncio: the lists are async iterators."""

    def __init__(
        self,
        base_url: str = DEFAULT_API,
        *,
        stream_url: str | None = None,
        rpc_url: str | None = None,
        oracle_program: str | None = None,
        api_key: str | None = None,
        timeout: float = 10.0,  # the HTTP client's, as in httpx
        transport: httpx2.AsyncBaseTransport | None = None,
        rpc_transport: httpx2.AsyncBaseTransport | None = None,
        connect: AsyncConnect = async_websocket,
    ) -> None:
        self.base_url = base_url
        self.stream_url = stream_url or endpoints.stream_url(base_url)
        self._rpc = (rpc_url, oracle_program, timeout, rpc_transport)
        self._verifier: AsyncVerifier | None = None
        self._connect = connect
        self._http = httpx2.AsyncClient(
            base_url=base_url,
            headers=dict(endpoints.headers(api_key)),
            timeout=timeout,
            transport=transport or httpx2.AsyncHTTPTransport(retries=2),
        )

    def markets(self, catalog: str | None = None, state: str | None = None) -> AsyncIterator[Market]:
        """All markets, page by page as they are consumed."""
        return self._pages(lambda cursor: endpoints.markets(catalog, state, cursor))

    async def market(self, market_id: str) -> Market:
        """One market."""
        market: Market = await self._get(endpoints.market(market_id))
        return market

    def epochs(self, catalog: str | None = None, status: str | None = None) -> AsyncIterator[Epoch]:
        """Epochs, newest first; `status` is one of open, committing, revealing, finalized, expired."""
        return self._pages(lambda cursor: endpoints.epochs(catalog, status, cursor))

    async def latest(self, market_id: str, status: str | None = None) -> Prediction:
        """The newest prediction of a market; of one `status`, "finalized" or "provisional", when it is named."""
        prediction: Prediction = await self._get(endpoints.latest(market_id, status))
        return prediction

    def history(self, market_id: str) -> AsyncIterator[Prediction]:
        """Finalized predictions of a market, newest first."""
        return self._pages(lambda cursor: endpoints.history(market_id, cursor))

    async def proof(self, market_id: str, epoch_id: int | None = None) -> Proof:
        """The proof of the newest finalized prediction of a market, or of that of `epoch_id`."""
        proof: Proof = await self._get(endpoints.proof(market_id, epoch_id))
        return proof

    async def info(self) -> Info:
        """Cluster, node, programs, signer sets and version."""
        info: Info = await self._get(endpoints.info())
        return info

    def stream(
        self,
        channels: Sequence[str],
        resume: Mapping[str, int] | None = None,
        *,
        reconnect: bool = True,
        on_retry: OnRetry | None = None,
    ) -> AsyncIterator[Event]:
        """As `Client.stream`."""
        return stream_async(
            self.stream_url, Subscription(channels, resume), self._connect, reconnect=reconnect, on_retry=on_retry
        )

    async def verify(self, proof: ProofLike) -> Verified:
        """Check a proof against the chain; see `m0client.verify`."""
        if self._verifier is None:
            rpc_url, program, timeout, transport = self._rpc
            node = rpc_url or _public_node(await self.info())
            self._verifier = AsyncVerifier(node, program, timeout=timeout, transport=transport)
        return await self._verifier.verify(proof)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        if self._verifier is not None:
            await self._verifier.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # what a path answers is known to its endpoint alone, hence Any
    async def _get(self, endpoint: Endpoint) -> Any:
        try:
            response = await self._http.get(endpoint.path, params=endpoint.params)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise TransportError(f"{self.base_url}{endpoint.path}: {str(error) or type(error).__name__}") from error
        return endpoints.read(endpoint, response)

    async def _pages(self, page_at: Callable[[str | None], Endpoint]) -> AsyncIterator[Any]:
        cursor: str | None = None
        while True:
            page = await self._get(page_at(cursor))
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return


def _public_node(info: Info) -> str:
    if info.rpc_url is None:
        raise RpcError("the API names no Solana node for anybody: pass the rpc_url of one that you trust")
    return info.rpc_url
