"""An update names the span that made it, so that who reads the stream can go on with the trace."""

from m0common.telemetry.traces import epoch_trace
from realtime_world import World

PARENT = epoch_trace("sports", 1)[0][1].decode()


async def updates(client, count):
    found = []
    while len(found) < count:
        frame = await client.hear(60)
        if frame["op"] == "update":
            found.append(frame)
    return found


async def test_updates_of_an_epoch_bear_its_trace_live_and_when_resumed():
    world = World()
    await world.topics()
    await world.market("M0")
    channels = ("epochs.sports", "predictions.sports", "market.M0")
    async with world.service():
        async with world.client() as client:
            await client.subscribe(*channels)
            await world.epoch(1, ("M0",), headers=epoch_trace("sports", 1))
            live = await updates(client, 3)
        assert [frame["traceparent"] for frame in live] == [PARENT] * 3
        async with world.client() as client:
            await client.subscribe(*channels, epochs__sports=0, predictions__sports=0, market__M0=0)
            again = await updates(client, 3)
    assert sorted(map(str, again)) == sorted(map(str, live))


async def test_an_update_without_a_trace_or_with_nonsense_for_one_names_none():
    world = World()
    await world.topics()
    await world.market("M0")
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports")
        await world.epoch(1, ("M0",))
        await world.epoch(2, ("M0",), headers=(("traceparent", b'00-"}],x'),))
        assert all("traceparent" not in frame for frame in await updates(client, 2))
