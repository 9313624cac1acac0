import asyncio

from m0_indexer.events import happens


async def test_an_event_is_taken_once():
    event = asyncio.Event()
    event.set()
    assert await happens(event, 0.01)
    assert not await happens(event, 0.01)
