"""Subscriptions come back by themselves: patiently, not all together, and whatever the node sent last."""

import asyncio
import contextlib
import json

import pytest
from m0chain import Connection, Subscriptions
from solders.pubkey import Pubkey
from websockets.asyncio.server import serve

PROGRAM = Pubkey.new_unique()
FIRST_S, LONGEST_S = 0.2, 5.0


class Pauses:
    """Sleeps no time, and remembers for how long it was to."""

    def __init__(self, count):
        self.taken, self.enough, self.count = [], asyncio.Event(), count

    async def __call__(self, seconds):
        self.taken.append(seconds)
        if len(self.taken) >= self.count:
            self.enough.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def node(after):
    """A node that takes a subscription and then does what `after` does."""

    async def answer(socket):
        asked = json.loads(await socket.recv())
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": 7}))
        await after(socket)

    async with serve(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def closes(socket):
    await socket.close(1011, "restarting")


async def pauses(count, after, **options):
    """The first pauses between connections to such a node, and what was heard meanwhile."""
    sleep, heard = Pauses(count), []
    async with node(after) as url, asyncio.timeout(60):
        subscriptions = Subscriptions(url, pause_s=FIRST_S, longest_s=LONGEST_S, sleep=sleep, **options)

        async def listen():
            async with contextlib.aclosing(subscriptions.logs(PROGRAM)) as notices:
                async for notice in notices:
                    heard.append(notice)  # noqa: PERF401 - it never ends

        task = asyncio.create_task(listen())
        await sleep.enough.wait()
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return sleep.taken, heard


async def test_a_node_that_greets_and_closes_is_left_alone_for_longer_and_longer():
    taken, heard = await pauses(16, closes)
    assert heard == [Connection.CONNECTED] * 16
    assert all(pause <= min(FIRST_S * 2**number, LONGEST_S) for number, pause in enumerate(taken))
    assert max(taken[8:]) > FIRST_S, "a greeting is no connection that held"


async def test_a_connection_that_held_is_come_back_to_soon():
    taken, _ = await pauses(16, closes, held_s=0)
    assert max(taken) <= FIRST_S


async def test_pauses_are_spread_from_none_to_all_of_it():
    taken, _ = await pauses(40, closes, held_s=0)
    assert min(taken) < FIRST_S / 2 < max(taken)


@pytest.mark.parametrize(
    "frame",
    [
        "<html>502</html>",
        b"\xff\xfe",
        "[]",
        "7",
        '{"jsonrpc":"2.0","method":"logsNotification","params":{"result":5,"subscription":7}}',
        '{"jsonrpc":"2.0","method":"strangeNotification","params":{}}',
        '{"jsonrpc":"2.0","error":{"code":-1,"message":"no"},"id":null}',
    ],
)
async def test_garbage_on_the_line_ends_no_listener(frame):
    async def babbles(socket):
        await socket.send(frame)
        await socket.close(1000)

    taken, heard = await pauses(2, babbles)
    assert len(taken) == 2
    assert heard.count(Connection.CONNECTED) == 2
