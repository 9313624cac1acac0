"""A JSON-RPC proxy in front of a node, for tests and drills: it passes everything on until it is told to be ill.

async with IllNode(localnet.rpc_url) as node:
node.illness = ILLNESSES["html"]      # whoever uses node.url sees pages of HTML
node.illness = None                   # and is well again
"""

import asyncio
import base64
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any, Self

import httpx2

Answer = tuple[int, bytes]
"""HTTP status and body."""
Forward = Callable[[dict[str, Any]], Awaitable[Answer]]
Illness = Callable[[dict[str, Any], Forward], Awaitable[Answer]]
"""From a request, and how to pass it on, to what is answered."""

HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
REQUEST_S = 30.0


def always(status: int, body: bytes) -> Illness:
    """One answer to everything."""

    async def ill(_request: dict[str, Any], _forward: Forward) -> Answer:
        return status, body

    return ill


async def silent(_request: dict[str, Any], _forward: Forward) -> Answer:
    """No answer."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


async def short_pages(request: dict[str, Any], forward: Forward) -> Answer:
    """At most two signatures a page, whatever was asked for."""
    if request["method"] == "getSignaturesForAddress" and len(request["params"]) > 1:
        config = request["params"][1]
        config["limit"] = min(2, config.get("limit") or 2)
    return await forward(request)


async def lies(request: dict[str, Any], forward: Forward) -> Answer:
    """The shape is right and the content is not: accounts of noise, other slots, other owners."""
    status, body = await forward(request)
    return status, json.dumps(_lie(json.loads(body))).encode()


def lagging() -> Illness:
    """A node that stands where it stood when it fell ill: reads are answered as they were at first."""
    seen: dict[str, Answer] = {}

    async def ill(request: dict[str, Any], forward: Forward) -> Answer:
        if request["method"] == "sendTransaction":
            return await forward(request)
        key = json.dumps([request["method"], request.get("params")])
        if key not in seen:
            seen[key] = await forward(request)
        return seen[key]

    return ill


def refuses(*methods: str) -> Illness:
    """A node that has not got some methods."""

    async def ill(request: dict[str, Any], forward: Forward) -> Answer:
        if request["method"] not in methods:
            return await forward(request)
        error = {"code": -32010, "message": "method is not available on this plan"}
        return 200, json.dumps({"jsonrpc": "2.0", "id": request.get("id"), "error": error}).encode()

    return ill


ILLNESSES: dict[str, Callable[[], Illness]] = {
    "500": lambda: always(500, b"internal error"),
    "429": lambda: always(429, b'{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests"},"id":null}'),
    "html": lambda: always(502, HTML),
    "html-200": lambda: always(200, HTML),
    "garbage": lambda: always(200, random.Random(7).randbytes(400)),
    "silent": lambda: silent,
    "lagging": lagging,
    "lies": lambda: lies,
}
"""What makes a node useless, by name: who depends on it is not ready meanwhile."""


class IllNode:
    """The proxy, on a free port of loopback."""

    def __init__(self, rpc_url: str) -> None:
        self.illness: Illness | None = None
        self._rpc_url = rpc_url
        self._client = httpx2.AsyncClient(timeout=REQUEST_S, trust_env=False)
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._client.aclose()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                size = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
                request = json.loads(await reader.readexactly(size))
                ill = self.illness
                status, body = await (self._forward(request) if ill is None else ill(request, self._forward))
                writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, httpx2.HTTPError):
            pass  # whoever asked has gone, or the node has: both see a connection that ends
        finally:
            writer.close()

    async def _forward(self, request: dict[str, Any]) -> Answer:
        answer = await self._client.post(self._rpc_url, json=request)
        return answer.status_code, answer.content


def _lie(value: Any) -> Any:  # JSON
    match value:
        case {"data": [str(data), "base64"], **rest}:
            noise = random.Random(len(data)).randbytes(len(base64.b64decode(data)) // 2)
            return {**rest, "data": [base64.b64encode(noise).decode(), "base64"]}
        case dict():
            return {key: 1 if key in {"slot", "absoluteSlot", "blockHeight"} else _lie(v) for key, v in value.items()}
        case list():
            return [_lie(each) for each in value]
        case _:
            return value
