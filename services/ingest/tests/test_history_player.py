"""The player of a history: order, holding, resuming, seasons, and what is never sent."""

import hashlib

import pytest
from ingest_world import SECOND, Book, Result, book, result, small_dataset
from m0common.cursors import SeasonRequest, cursor
from m0common.errors import Fenced, InvalidValue, Unavailable
from m0domains.history import Observation, Resolution
from m0lanes.control import CATALOG_SET


def sent(world):
    return {(event.group, event.source_seq) for event in world.events()}


WHOLE = {("btc", 1), ("btc", 2), ("eng.1", 1), ("eng.1", 2), ("eng.1", 3)}


async def test_the_warm_up_is_sent_at_once_without_markets_and_dated_now(rig, world):
    await rig.player.turn()
    events = world.events()
    assert [(e.market_id, e.kind, e.event_ms - world.clock.now_ms(), e.source_seq) for e in events] == [
        (None, "result", 0, 1),
        (None, "result", 0, 2),
    ]
    assert {e.source for e in events} == {"toy"}
    assert world.outcomes() == []


async def test_events_come_when_they_are_due_and_outcomes_follow_what_decides_them(rig, world):
    began = world.clock.now_ms()
    await rig.player.turn()
    rig.open("BTC_1", "FB_1")
    await rig.play(2500)
    assert [e.event_ms - began for e in world.events() if e.market_id] == [1 * SECOND, 2 * SECOND]
    await rig.play(3000)
    assert {(o.market_id, o.outcome, o.evidence_hash, o.catalog, o.source) for o in world.outcomes()} == {
        ("BTC_1", 1, hashlib.sha256(b"btc,DOWN").digest(), "test", "toy"),
        ("FB_1", 2, hashlib.sha256(b"A,B,1,0").digest(), "test", "toy"),
    }
    assert all(e.event_ms <= e.received_ms for e in world.events())
    assert sent(world) == WHOLE


async def test_events_wait_for_their_market_and_keep_their_time(rig, world):
    began = world.clock.now_ms()
    await rig.play(4000)
    assert [e for e in world.events() if e.market_id] == []
    assert "BTC_1 has not opened" in rig.player.note
    rig.open("BTC_1", "FB_1")
    await rig.play(200)
    assert [e.event_ms - began for e in world.events() if e.market_id] == [1 * SECOND + 100, 2 * SECOND + 100]
    assert rig.player.note is None


async def test_after_the_hold_a_result_still_counts_for_its_group_and_books_are_left_out(make_rig, world):
    rig = await make_rig(hold_ms=2 * SECOND)
    await rig.play(8 * SECOND)
    late = [e for e in world.events() if e.source_seq > 2 or e.group == "btc"]
    assert [(e.kind, e.market_id) for e in late] == [("result", None)]
    assert {o.market_id for o in world.outcomes()} == {"BTC_1", "FB_1"}


async def test_what_the_domain_would_refuse_is_not_sent_and_decides_nothing(make_rig, world):
    bad = [
        result(5 * SECOND, "FB_1", away="A"),
        result(5 * SECOND, "FB_1", home_goals=100),
        Observation(5 * SECOND, "btc", None, "candle", Book(1)),
        Observation(5 * SECOND, "eng.1", "FB_1", "book", Result("A", "B", 1)),
        Observation(5 * SECOND, "eng.1", "FB_1", "result", Result("\ud800", "B", 1)),
        Resolution(5 * SECOND, "btc", "BTC_1", "SIDEWAYS"),
        Resolution(5 * SECOND, "btc", "BTC_9", "UP"),
    ]
    rig = await make_rig(dataset=small_dataset(bad))
    rig.open("BTC_1", "FB_1")
    await rig.play(6 * SECOND)
    assert len(world.events()) == len(WHOLE)
    assert [(o.market_id, o.outcome) for o in world.outcomes()] == [("BTC_1", 1), ("FB_1", 2)]


async def test_an_event_that_the_domain_fails_on_is_refused(make_rig, world):
    rig = await make_rig(dataset=small_dataset([result(4 * SECOND, "BTC_1")]))
    rig.open("BTC_1", "FB_1")
    await rig.play(4 * SECOND + 500)
    assert [e.market_id for e in world.events() if e.kind == "result"] == [None, None]


async def test_nothing_is_sent_before_the_set_in_force_names_every_group_of_the_season(make_rig, world):
    rig = await make_rig(named=())
    await rig.play(60 * SECOND)
    await world.name("eng.1")
    await rig.play(60 * SECOND)
    assert world.events() == []
    assert rig.player.note == "season 1 begins when the set in force of test names btc"
    assert rig.asked() is None
    await world.name("btc", "eng.1", generation=2, epoch=8)
    rig.open("BTC_1", "FB_1")
    await rig.play(6 * SECOND)
    assert sent(world) == WHOLE


async def test_a_group_that_the_set_drops_is_left_out_and_the_others_go_on(rig, world):
    rig.open("BTC_1", "FB_1")
    await world.name("eng.1", generation=2, epoch=8)
    assert rig.schedule.state.anchor is None
    await world.name("btc", "eng.1", generation=3, epoch=9)
    await rig.play(1500)
    await world.name("eng.1", generation=4, epoch=10)
    await rig.play(5 * SECOND)
    assert sent(world) == WHOLE - {("btc", 2)}


async def test_a_retired_catalog_is_sent_nothing_and_goes_on_where_it_was(rig, world):
    rig.open("BTC_1", "FB_1")
    await rig.play(1500)
    await world.name("btc", "eng.1", generation=2, epoch=8, retired=True)
    before = sent(world)
    await rig.play(90 * SECOND)
    assert sent(world) == before
    await world.name("btc", "eng.1", generation=3, epoch=9)
    await rig.play(400)
    assert sent(world) == before
    await rig.play(4 * SECOND)
    assert sent(world) == WHOLE


async def test_when_history_is_over_the_next_season_is_asked_for_and_waited_for(rig, world):
    rig.open("BTC_1", "FB_1")
    await rig.play(60 * SECOND)
    assert rig.player.note == "history is over; season 2 begins when the set in force of test names btc~2, eng.1~2"
    assert rig.asked() == SeasonRequest("test", 2, ("btc~2", "eng.1~2"))
    assert sent(world) == WHOLE
    again = await rig.reborn()
    await again.play(1 * SECOND)
    assert sent(world) == WHOLE
    assert "season 2" in again.player.note


async def test_the_next_season_begins_anew_under_its_own_names(rig, world):
    rig.open("BTC_1", "FB_1")
    await rig.play(60 * SECOND)
    await world.name("btc~2", "eng.1~2", generation=2, epoch=8)
    began = world.clock.now_ms()
    rig.open("BTC_1_S2", "FB_1_S2")
    await rig.play(2 * SECOND)
    assert rig.asked() is None
    await rig.play(4 * SECOND)
    second = {(e.group, e.source_seq, e.market_id) for e in world.events()} - {
        (e.group, e.source_seq, e.market_id) for e in world.events() if not e.group.endswith("~2")
    }
    assert second == {
        ("eng.1~2", 1, None),
        ("eng.1~2", 2, None),
        ("btc~2", 1, "BTC_1_S2"),
        ("btc~2", 2, "BTC_1_S2"),
        ("eng.1~2", 3, "FB_1_S2"),
    }
    books = [e.event_ms - began for e in world.events("book") if e.group == "btc~2"]
    assert books == [1 * SECOND + 100, 2 * SECOND + 100]
    assert {o.market_id for o in world.outcomes()} == {"BTC_1", "FB_1", "BTC_1_S2", "FB_1_S2"}
    assert rig.asked().season == 3


@pytest.mark.parametrize("fault", ["lose_acks", "refuse_sends", "die_in_transactions"])
@pytest.mark.parametrize("stop_s", [0, 3, 30, 600, 100_000])
async def test_wherever_a_life_ends_the_next_one_repeats_nothing_and_leaves_nothing_out(rig, world, fault, stop_s):
    rig.open("BTC_1", "FB_1")
    await rig.play(1500)
    setattr(world.broker.faults, fault, 1)
    with pytest.raises(Unavailable):
        await rig.play(2000)
    world.clock.advance(stop_s * SECOND)
    again = await rig.reborn()
    again.open("BTC_1", "FB_1")
    resumed = world.clock.now_ms()
    await again.play(6 * SECOND)
    numbers = [(e.group, e.source_seq) for e in world.events()]
    assert sorted(numbers) == sorted(WHOLE)
    if stop_s > 60:
        (last,) = [e for e in world.events() if (e.group, e.source_seq) == ("eng.1", 3)]
        assert last.event_ms >= resumed


async def test_a_successor_writes_the_same_events_under_the_same_times_and_its_predecessor_nothing(rig, world):
    began = world.clock.now_ms()
    rig.open("BTC_1", "FB_1")
    await rig.play(1500)
    successor = await rig.reborn()
    successor.open("BTC_1", "FB_1")
    with pytest.raises(Fenced):
        await rig.play(2000)
    await successor.play(6 * SECOND)
    assert sorted((e.group, e.source_seq) for e in world.events()) == sorted(WHOLE)
    live = {(e.group, e.source_seq): e.event_ms - began for e in world.events() if e.market_id}
    assert live == {("btc", 1): 1 * SECOND + 100, ("btc", 2): 2 * SECOND + 100, ("eng.1", 3): 5 * SECOND + 100}


async def test_killed_before_the_write_nothing_is_lost(rig, world):
    rig.open("BTC_1", "FB_1")
    await rig.play(1500)
    world.broker.faults.down = True
    for _ in range(20):
        with pytest.raises(Unavailable):
            await rig.play(2000)
    world.broker.faults.down = False
    again = await rig.reborn()
    again.open("BTC_1", "FB_1")
    await again.play(6 * SECOND)
    assert sent(world) == WHOLE


async def test_a_broker_that_is_long_away_does_not_make_events_too_old(rig, world):
    rig.open("BTC_1", "FB_1")
    await rig.play(1500)
    world.broker.faults.down = True
    with pytest.raises(Unavailable):
        await rig.play(2000)
    world.clock.advance(3_600 * SECOND)
    world.broker.faults.down = False
    again = await rig.reborn()
    again.open("BTC_1", "FB_1")
    await again.play(6 * SECOND)
    late = [e for e in world.events() if e.source_seq > 1 and e.market_id]
    assert all(e.received_ms - e.event_ms < 2 * SECOND for e in late)
    assert sent(world) == WHOLE


async def test_a_cursor_that_is_none_is_named_and_not_overwritten(rig, world):
    await rig.play(1500)
    await world.broker.producer().send([cursor("history:test", ["not", "a", "state"])])
    with pytest.raises(InvalidValue, match=r"m0\.cursors\.v1 holds under key history:test"):
        await rig.reborn()


async def test_books_of_a_market_come_in_order_even_when_many_are_due(make_rig, world):
    many = [book(1 * SECOND + n, "BTC_1", n) for n in range(1_200)]
    rig = await make_rig(dataset=small_dataset(many))
    rig.open("BTC_1", "FB_1")
    await rig.play(6 * SECOND)
    seqs = [e.source_seq for e in world.events("book")]
    assert seqs == list(range(1, 1_203))
    assert world.events(CATALOG_SET)
