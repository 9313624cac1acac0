"""Fan-out per CPU second, counted where it arrives: this server beside `websockets.broadcast`, in one run.

    python services/realtime/bench/fanout.py [CLIENTS] [UPDATES_PER_S] [SECONDS]

Prints deliveries per CPU second of the server process, for both, their ratio, and idle memory per connection.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from typing import Any

import psutil
import uvloop
from m0_realtime import limits
from m0_realtime.hub import Hub
from m0_realtime.names import Kind, Name
from m0_realtime.protocol import update, wire
from m0_realtime.server import Server
from m0common.http import Status
from m0common.settings import Realtime
from websockets.asyncio.server import broadcast, serve

NAME = Name(Kind.EPOCHS, "bench")
DATA = json.dumps({"text": "x" * 230}).encode()
PORT = 23_917


async def _ours(clients: int, rate: int, seconds: float, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    hub = Hub(lambda: loop.call_later(limits.TICK_S, hub.flush))
    server = Server(f"127.0.0.1:{PORT}", hub, Status("bench"), Realtime())
    await server.start()

    async def everybody() -> None:
        while hub.subscriptions < clients:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.05)

    await _run(clients, rate, seconds, pipe, everybody(), lambda: hub.publish(NAME, "k", DATA, 1))
    await server.stop()


async def _library(clients: int, rate: int, seconds: float, pipe: Connection) -> None:
    connections: set[Any] = set()
    payload = update("epochs.bench", 1, 1, DATA).decode()

    async def handler(connection: Any) -> None:
        await connection.recv()
        connections.add(connection)
        await connection.wait_closed()

    async with serve(handler, "127.0.0.1", PORT, compression=None):

        async def everybody() -> None:
            while len(connections) < clients:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        await _run(clients, rate, seconds, pipe, everybody(), lambda: broadcast(connections, payload))


async def _run(
    clients: int, rate: int, seconds: float, pipe: Connection, everybody: Any, publish: Callable[[], None]
) -> None:
    process = psutil.Process()
    empty = process.memory_info().rss
    pipe.send("listening")
    await everybody
    per_client = (process.memory_info().rss - empty) / clients
    cpu, start, sent = time.process_time(), time.monotonic(), 0
    while time.monotonic() - start < seconds:
        while sent < min(seconds, time.monotonic() - start) * rate and time.monotonic() - start < seconds:
            publish()
            sent += 1
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.1)
    pipe.send({"sent": sent * clients, "cpu_s": time.process_time() - cpu, "bytes_per_client": per_client})


def _server(which: Any, clients: int, rate: int, seconds: float, pipe: Connection) -> None:
    uvloop.run(which(clients, rate, seconds, pipe))


class _Sink(asyncio.Protocol):
    """A client that only reads: the least a client can cost, so that the server is what is measured."""

    def __init__(self) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self.received = 0

    def connection_made(self, transport: Any) -> None:
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        transport.write(
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n".encode()
        )
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if not self.ready.done():
            text = b'{"op":"subscribe","channels":["epochs.bench"]}'
            self.transport.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
            self.ready.set_result(None)


async def _sinks(clients: int, pipe: Connection) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(clients):
        transport, sink = await loop.create_connection(_Sink, "127.0.0.1", PORT)
        await sink.ready
        made.append((transport, sink))
    result: dict[str, float] = await loop.run_in_executor(None, pipe.recv)
    await asyncio.sleep(0.5)
    result["deliveries"] = sum(sink.received for _, sink in made) / len(wire(update("epochs.bench", 1000, 1, DATA)))
    for transport, _ in made:
        transport.abort()
    return result


def measure(which: Any, clients: int, rate: int, seconds: float) -> dict[str, float]:
    """One server in a process of its own, its clients in this one."""
    here, there = Pipe()
    process = Process(target=_server, args=(which, clients, rate, seconds, there))
    process.start()
    assert here.recv() == "listening"
    result = uvloop.run(_sinks(clients, here))
    process.join(10)
    return result


def main() -> None:
    given = [int(argument) for argument in sys.argv[1:4]]
    clients, rate, seconds = given + [300, 1000, 3][len(given) :]
    servers = {"m0_realtime": _ours, "broadcast": _library}
    found = {name: measure(which, clients, rate, seconds) for name, which in servers.items()}
    speeds = {name: result["deliveries"] / result["cpu_s"] for name, result in found.items()}
    for name, speed in speeds.items():
        kib = found[name]["bytes_per_client"] / 1024
        share = found[name]["deliveries"] / found[name]["sent"]
        print(f"{name:12} {speed:12,.0f} deliveries per CPU second, {share:.0%} arrived, {kib:.1f} KiB a client")
    ratio = speeds["m0_realtime"] / speeds["broadcast"]
    print(f"ratio        {ratio:12.2f}   ({os.cpu_count()} cores, {clients} clients, {rate} updates/s)")


if __name__ == "__main__":
    main()
