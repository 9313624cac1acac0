"""The epoch clock writes each due epoch once into every lane, and never a backlog."""

import msgspec
import pytest
from m0_ingest.catalogs import announce, catalog_payload
from m0_ingest.epochs import ClockState, EpochClock
from m0_ingest.state import StateFile
from m0_ingest.writer import RawWriter
from m0common.messages import CatalogPayload, EpochEndPayload
from m0common.settings import Catalog

CATALOG = Catalog(epoch_ms=10_000, lateness_ms=1_000, model="football", groups=("x.1",), params={"b": 2, "a": 1})


@pytest.fixture
async def make_clock(broker, clock, tmp_path):
    async def make():
        writer = RawWriter(broker, clock)
        await writer.start()
        return EpochClock("sports", CATALOG, writer, clock, StateFile(tmp_path / "clock.json", ClockState))

    return make


@pytest.fixture
def markers(events_of):
    return lambda: [
        msgspec.json.decode(event.payload, type=EpochEndPayload).epoch_id
        for event in events_of()
        if event.kind == "epoch_end"
    ]


async def test_a_marker_goes_into_every_lane_after_the_end_and_the_lateness(make_clock, clock, markers, events_of):
    epochs = await make_clock()
    await epochs.start()
    await epochs.turn()
    clock.advance(10_000 - clock.now_ms() % 10_000)
    now = clock.now_ms()
    clock.advance(999)
    await epochs.turn()
    assert markers() == [], "the windows before the first start have no marker"
    clock.advance(1)
    assert await epochs.turn() == 500
    assert markers() == [now // 10_000 - 1] * 2
    last = msgspec.json.decode(events_of()[-1].payload, type=EpochEndPayload)
    assert (last.window_start_ms, last.window_end_ms, last.partitions) == (now - 10_000, now, 2)


async def test_every_epoch_gets_its_marker_while_the_clock_runs(make_clock, clock, markers):
    epochs = await make_clock()
    await epochs.start()
    for _ in range(1000):
        clock.advance(100)
        await epochs.turn()
    ids = sorted(set(markers()))
    assert ids == list(range(ids[0], ids[-1] + 1))
    assert len(ids) in {9, 10}
    assert len(markers()) == 2 * len(ids)


async def test_after_a_stop_only_the_unfinished_and_the_latest_epoch_are_written(make_clock, clock, markers):
    epochs = await make_clock()
    await epochs.start()
    clock.advance(11_000)
    await epochs.turn()
    first = markers()[0]
    clock.advance(100_000)
    epochs = await make_clock()
    await epochs.start()
    await epochs.turn()
    assert sorted(markers()) == [first] * 4 + [first + 10] * 2


async def test_a_marker_cut_off_between_lanes_is_completed_with_the_same_identity(
    make_clock, broker, clock, markers, events_of
):
    epochs = await make_clock()
    await epochs.start()
    clock.advance(11_000)
    broker.faults.lose_acks = 1
    await epochs.turn()
    epochs = await make_clock()
    await epochs.start()
    assert len(set(markers())) == 1
    assert len({(e.source_event_id, bytes(e.payload)) for e in events_of()}) == 1


async def test_the_settings_of_a_catalog_reach_every_lane(broker, clock, events_of):
    writer = RawWriter(broker, clock)
    await writer.start()
    await announce(catalog_payload("sports", CATALOG, ("eng.1",)), writer, clock)
    payloads = [msgspec.json.decode(e.payload, type=CatalogPayload) for e in events_of()]
    assert payloads == [CatalogPayload("sports", 10_000, 1, "football", ("eng.1", "x.1"), {"a": 1, "b": 2})] * 2
