"""The HTTP side: a bare ASGI application that answers JSON-RPC by POST and ``GET /health``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from m0localnet.node import Node
from m0localnet.rpc.dispatch import handle

MAX_BODY_BYTES: Final = 50 * 1024  # as Agave's default; a batch larger than that must be split on a cluster too
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_JSON: Final = (b"content-type", b"application/json; charset=utf-8")
_ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"OPTIONS, POST"),
    (b"access-control-allow-headers", b"*"),
    (b"access-control-max-age", b"86400"),
)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


async def _reply(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    head = {"type": "http.response.start", "status": status, "headers": [*headers, length, _ANY_ORIGIN]}
    await send(head)
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes | None:
    chunks, size = [], 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return b""
        chunk = event.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
        if not event.get("more_body"):
            return b"".join(chunks)


def application(node: Node) -> App:
    """Return the ASGI application of a node."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        verb = scope["method"]
        if verb == "GET" and scope["path"] == "/health":
            healthy = node.bank.halted is None
            await _reply(send, 200, b"ok" if healthy else b"unknown", _TEXT)
            return
        if verb == "OPTIONS":
            await _reply(send, 200, b"", *_PREFLIGHT)
            return
        if verb != "POST":
            await _reply(send, 405, b"Used HTTP Method is not allowed. POST or OPTIONS is required\n", _TEXT)
            return
        kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        if kind.split(b";")[0].strip().lower() != b"application/json":
            text = b"Supplied content type is not allowed. Content-Type: application/json is required\n"
            await _reply(send, 415, text, _TEXT)
            return
        body = await _body(receive)
        if body is None:
            await _reply(send, 413, b"request body size exceeds allowed maximum", _TEXT)
            return
        await _reply(send, 200, handle(node, body), _JSON)

    return app
