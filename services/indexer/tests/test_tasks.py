"""Parts run together."""

import asyncio

import pytest
from m0_indexer.tasks import happens, together


async def forever():
    await asyncio.Event().wait()


async def test_a_part_that_fails_stops_the_others_and_its_error_is_raised():
    async def fails():
        await asyncio.sleep(0)
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        await together({"forever": forever(), "fails": fails()})


async def test_a_part_that_swallows_a_cancellation_is_cancelled_again():
    swallowed = []

    async def stubborn():
        while len(swallowed) < 2:
            try:
                await forever()
            except asyncio.CancelledError:
                swallowed.append(1)
        await forever()

    work = asyncio.create_task(together({"stubborn": stubborn(), "forever": forever()}))
    await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(work, 60)
    assert len(swallowed) == 2


async def test_an_event_is_taken_once():
    event = asyncio.Event()
    event.set()
    assert await happens(event, 0.01)
    assert not await happens(event, 0.01)
