"""A subscriber that does not read is cut, and the others do not notice."""

import asyncio

import msgspec
from m0localnet import pubsub
from m0localnet.pubsub import Session
from m0localnet.subscriptions import Subscriptions
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


async def test_a_subscriber_that_stops_reading_is_cut_with_a_reason(hand, monkeypatch):
    monkeypatch.setattr(pubsub, "MAX_QUEUED_FRAMES", 50)
    subscriptions = Subscriptions(hand.bank)
    hand.bank.watch(subscriptions)

    async def session(connection):
        await Session(connection, subscriptions).run()

    async with serve(session, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        # with a bounded queue, frames that nobody reads would hold up the closing handshake
        async with connect(f"ws://127.0.0.1:{port}", compression=None, max_queue=None) as other:
            await other.send(msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "rootSubscribe"}).decode())
            await other.recv()
            async with connect(f"ws://127.0.0.1:{port}", compression=None) as slow:
                await slow.send(msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"}).decode())
                await slow.recv()
                assert len(subscriptions) == 2
                # More than the bound in one go: nothing can be written between two slots here.
                hand.slots(52)
                await asyncio.wait_for(slow.wait_closed(), 5)
                assert slow.close_code == 1013
                assert "too slow" in slow.close_reason
            assert msgspec.json.decode(await other.recv())["method"] == "rootNotification"
            await until(lambda: len(subscriptions) == 1)
        await until(lambda: len(subscriptions) == 0)


async def test_frames_come_in_order_and_none_is_missing(hand):
    subscriptions = Subscriptions(hand.bank)
    hand.bank.watch(subscriptions)

    async def session(connection):
        await Session(connection, subscriptions).run()

    async with serve(session, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as ws:
            await ws.send(msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"}).decode())
            await ws.recv()
            hand.slots(500)
            told = [msgspec.json.decode(await ws.recv())["params"]["result"]["slot"] for _ in range(500)]
            assert told == list(range(told[0], told[0] + 500))
