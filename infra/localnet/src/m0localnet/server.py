"""Listening: JSON-RPC over HTTP on one port, PubSub over WebSocket on another, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, cast

import structlog
import uvicorn
from m0common.clock import Clock
from websockets.asyncio.server import ServerConnection, serve

from m0localnet.errors import PortError
from m0localnet.http import application
from m0localnet.node import Node, NodeConfig
from m0localnet.pubsub import Session
from m0localnet.subscriptions import Subscriptions

BACKLOG: Final = 512
MAX_FRAME_BYTES: Final = 1 << 20

_log: Final = structlog.get_logger(__name__)


def listen(bind: str, port: int, option: str) -> socket.socket:
    """Return a listening socket; raises :class:`PortError` with the remedy when the port cannot be had."""
    try:
        family = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((bind, port))
        listener.listen(BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortError(
                f"port {port} on {bind} is already in use; stop what listens there or choose another with {option}"
            ) from error
        raise PortError(
            f"cannot listen on {bind} port {port}: {error.strerror}; choose another with {option}"
        ) from error
    listener.setblocking(False)
    return listener


class _Http(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals belong to the node: it has to stop the slots and close the ledger, too.
        yield


@contextlib.asynccontextmanager
async def serving(node: Node, rpc: socket.socket, ws: socket.socket) -> AsyncIterator[None]:
    """Answer on two listening sockets; slots pass only as somebody lets them."""
    subscriptions = Subscriptions(node.bank)
    node.bank.watch(subscriptions)
    config = uvicorn.Config(
        cast("Any", application(node)),  # uvicorn's ASGI types are narrower than the protocol's
        http="httptools",
        loop="none",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    http = _Http(config)

    async def session(connection: ServerConnection) -> None:
        await Session(connection, subscriptions).run()

    async with serve(session, sock=ws, compression=None, max_size=MAX_FRAME_BYTES, close_timeout=0.3, logger=None):
        http_task = asyncio.create_task(http.serve(sockets=[rpc]))
        try:
            yield
        finally:
            http.should_exit = True
            await http_task


async def run(config: NodeConfig, clock: Clock, bind: str, rpc_port: int, ws_port: int) -> None:
    """Run a node until SIGTERM or SIGINT; raises :class:`LocalnetError` when it cannot start."""
    rpc = listen(bind, rpc_port, "--rpc-port")
    ws = listen(bind, ws_port, "--ws-port")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    node = Node(config, clock)
    try:
        _log.info(
            "localnet ready",
            rpc=f"http://{bind}:{rpc.getsockname()[1]}",
            ws=f"ws://{bind}:{ws.getsockname()[1]}",
            slot=node.bank.running.number,
            ledger=str(config.ledger),
        )
        async with serving(node, rpc, ws):
            await node.run(stop)
    finally:
        node.close()
        _log.info("localnet stopped", slot=node.bank.confirmed)
