"""The PubSub WebSocket protocol: subscribe and unsubscribe requests of one connection, and its outgoing queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from m0localnet import filters
from m0localnet.commitment import Commitment
from m0localnet.errors import INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, RpcError, invalid_params
from m0localnet.rpc.dispatch import failure, parse, read_call
from m0localnet.rpc.registry import Params, pubkey
from m0localnet.subscriptions import Subscription, Subscriptions

MAX_QUEUED_FRAMES: Final = 20_000
MAX_SUBSCRIPTIONS: Final = 10_000
_TRY_AGAIN_LATER: Final = 1013
_KINDS: Final = ("account", "program", "logs", "signature", "slot", "root")

_log: Final = structlog.get_logger(__name__)
_encode: Final = msgspec.json.Encoder().encode


class Session:
    """
    One connection. Frames queue here and are written by one task; a client that lets :data:`MAX_QUEUED_FRAMES` pile up
    is disconnected, so that it neither stops the others nor silently misses something.
    """

    def __init__(self, socket: ServerConnection, subscriptions: Subscriptions) -> None:
        self._socket = socket
        self._subscriptions = subscriptions
        self._own: set[int] = set()
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._overrun = False

    async def run(self) -> None:
        """Serve the connection until it closes."""
        writer = asyncio.create_task(self._write())
        try:
            async for text in self._socket:
                self._answer(text)
        except ConnectionClosed:
            pass
        finally:
            for number in tuple(self._own):
                self._subscriptions.remove(number)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    def deliver(self, raw: bytes) -> None:
        """Queue a frame."""
        if len(self._queue) >= MAX_QUEUED_FRAMES:
            self._overrun = True
        else:
            self._queue.append(raw)
        self._wake.set()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue and not self._overrun:
                    await self._socket.send(self._queue.popleft(), text=True)
                if self._overrun:
                    _log.warning("slow subscriber cut", peer=str(self._socket.remote_address))
                    await self._socket.close(_TRY_AGAIN_LATER, "too slow: notifications piled up")
                    return

    # ---- requests

    def _answer(self, text: str | bytes) -> None:
        request = parse(text)
        if request is None:
            self.deliver(_encode(failure(None, RpcError(PARSE_ERROR, "Parse error"))))
            return
        batch = request if isinstance(request, list) else [request]
        added: list[Subscription] = []
        replies = [reply for item in batch if (reply := self._one(item, added)) is not None]
        if replies:
            self.deliver(_encode(replies if isinstance(request, list) else replies[0]))
        for sub in added:
            self._subscriptions.tell_known(sub)

    def _one(self, request: dict[str, Any], added: list[Subscription]) -> dict[str, Any] | None:
        request_id = request.get("id")
        try:
            name, values = read_call(request)
            result = self._call(name, Params(values), added)
        except RpcError as error:
            return failure(request_id, error)
        return {"jsonrpc": "2.0", "result": result, "id": request_id} if "id" in request else None

    def _call(self, name: str, params: Params, added: list[Subscription]) -> Any:
        for kind in _KINDS:
            if name == f"{kind}Subscribe":
                if len(self._own) >= MAX_SUBSCRIPTIONS:
                    raise RpcError(INVALID_REQUEST, f"Too many subscriptions; max {MAX_SUBSCRIPTIONS} per connection")
                sub = _BUILDERS[kind](self._subscriptions.number(), self.deliver, params)
                sub.drop = self._own.discard
                self._own.add(sub.number)
                self._subscriptions.add(sub)
                added.append(sub)
                return sub.number
            if name == f"{kind}Unsubscribe":
                number = params.unsigned(0)
                if number not in self._own:
                    raise invalid_params("Invalid subscription id.")
                self._subscriptions.remove(number)
                return True
        raise RpcError(METHOD_NOT_FOUND, "Method not found")


def _account(number: int, deliver: Callable[[bytes], None], params: Params) -> Subscription:
    config = params.config(1, "struct RpcAccountInfoConfig")
    return Subscription(
        number,
        "account",
        ("account", params.pubkey(0)),
        config.commitment,
        deliver,
        encoding=config.account_encoding(),
        data_slice=config.data_slice(),
    )


def _program(number: int, deliver: Callable[[bytes], None], params: Params) -> Subscription:
    config = params.config(1, "struct RpcProgramAccountsConfig")
    return Subscription(
        number,
        "program",
        ("program", params.pubkey(0)),
        config.commitment,
        deliver,
        encoding=config.account_encoding(),
        data_slice=config.data_slice(),
        filters=filters.parse(config.get("filters")),
    )


def _logs(number: int, deliver: Callable[[bytes], None], params: Params) -> Subscription:
    wanted = params.get(0)
    key: object = None
    if isinstance(wanted, dict) and isinstance(mentions := wanted.get("mentions"), list):
        if len(mentions) != 1:
            raise invalid_params("Invalid Request: Only 1 address supported")
        key = pubkey(mentions[0])
    elif wanted not in ("all", "allWithVotes"):
        raise invalid_params(
            f"Invalid params: unknown filter {wanted!r}, expected `all`, `allWithVotes` or an object with `mentions`."
        )
    level = params.config(1, "struct RpcTransactionLogsConfig").commitment
    return Subscription(number, "logs", ("logs", key), level, deliver)


def _signature(number: int, deliver: Callable[[bytes], None], params: Params) -> Subscription:
    config = params.config(1, "struct RpcSignatureSubscribeConfig")
    return Subscription(
        number,
        "signature",
        ("signature", bytes(params.signature(0))),
        config.commitment,
        deliver,
        received=config.flag("enableReceivedNotification"),
    )


def _slot(number: int, deliver: Callable[[bytes], None], _params: Params) -> Subscription:
    return Subscription(number, "slot", ("slot", None), Commitment.PROCESSED, deliver)


def _root(number: int, deliver: Callable[[bytes], None], _params: Params) -> Subscription:
    return Subscription(number, "root", ("root", None), Commitment.FINALIZED, deliver)


_BUILDERS: Final = {
    "account": _account,
    "program": _program,
    "logs": _logs,
    "signature": _signature,
    "slot": _slot,
    "root": _root,
}
