"""The replay: order, holding, resuming, looping."""

import hashlib

import msgspec
import pytest
from m0_ingest.state import StateError
from m0common.messages import MarketOutcome
from m0common.topics import OUTCOMES
from m0lanes.raw import event_id

SECOND = 1000


def outcomes_of(broker):
    return [
        msgspec.msgpack.decode(record.value, type=MarketOutcome)
        for partition in range(2)
        for record in broker.log(OUTCOMES.name, partition)
    ]


async def test_the_warm_up_is_sent_at_once_without_markets_and_dated_before_the_start(rig, broker, clock, events_of):
    await rig.start()
    began = clock.now_ms()
    await rig.replayer.turn()
    events = events_of()
    assert [(e.market_id, e.kind, e.event_ms - began) for e in events] == [
        (None, "match_result", -9 * SECOND),
        (None, "match_result", -8 * SECOND),
    ]
    assert outcomes_of(broker) == []


async def test_events_come_when_they_are_due_and_outcomes_follow_results(rig, broker, clock, events_of):
    await rig.start()
    began = clock.now_ms()
    rig.open("BTC_1", "FB_1")
    await rig.play(2500)
    assert [e.event_ms - began for e in events_of() if e.market_id] == [1 * SECOND, 2 * SECOND]
    await rig.play(3000)
    assert {(o.market_id, o.outcome, o.evidence_hash) for o in outcomes_of(broker)} == {
        ("BTC_1", 1, hashlib.sha256(b"btc,DOWN").digest()),
        ("FB_1", 0, hashlib.sha256(b"A,B,1,0").digest()),
    }
    assert all(e.event_ms <= e.received_ms for e in events_of())


async def test_events_wait_for_their_market_and_keep_their_time(rig, clock, events_of):
    await rig.start()
    began = clock.now_ms()
    await rig.play(4000)
    assert [e for e in events_of() if e.market_id] == []
    assert "BTC_1" in rig.replayer.problem
    rig.open("BTC_1", "FB_1")
    await rig.play(200)
    assert [e.event_ms - began for e in events_of() if e.market_id] == [1 * SECOND, 2 * SECOND, 3 * SECOND]
    assert rig.replayer.problem is None


async def test_after_the_hold_a_result_still_counts_for_its_group_and_books_are_left_out(broker, make_rig, events_of):
    rig = make_rig(hold_ms=2 * SECOND)
    await rig.start()
    await rig.play(8 * SECOND)
    late = [e for e in events_of() if e.source_event_id not in {"0", "1"}]
    assert [(e.kind, e.market_id) for e in late] == [("match_result", None)]
    assert {o.market_id for o in outcomes_of(broker)} == {"BTC_1", "FB_1"}


async def test_the_second_cycle_has_its_own_markets_and_later_times(rig, clock, events_of):
    await rig.start()
    began = clock.now_ms()
    rig.open("BTC_1", "FB_1", "BTC_1_C2", "FB_1_C2", "FB_1_C3", "BTC_1_C3")
    await rig.play(30 * SECOND)
    books = sorted((e.event_ms - began, e.market_id) for e in events_of() if e.kind == "book")
    assert books == [
        (1 * SECOND, "BTC_1"),
        (2 * SECOND, "BTC_1"),
        (11 * SECOND, "BTC_1_C2"),
        (12 * SECOND, "BTC_1_C2"),
        (21 * SECOND, "BTC_1_C3"),
        (22 * SECOND, "BTC_1_C3"),
    ]
    assert len({e.source_event_id for e in events_of()}) == len(events_of())


class Killed(Exception):
    """kill -9 in a test."""


@pytest.mark.parametrize("stop_s", [0, 3, 30, 600, 100_000])
async def test_killed_after_the_write_and_before_the_cursor_the_same_bytes_are_sent_again(
    rig, clock, stop_s, events_of
):
    await rig.start()
    rig.open("BTC_1", "FB_1")
    await rig.play(1500)
    write = rig.writer.write

    async def dies(*args):
        await write(*args)
        raise Killed

    rig.writer.write = dies
    with pytest.raises(Killed):
        await rig.play(2000)
    before = {event_id(e) for e in events_of()}
    clock.advance(stop_s * SECOND)
    again = rig.reborn()
    moved = await again.start()
    assert moved == (stop_s > 60)
    again.open("BTC_1", "FB_1")
    await again.play(5 * SECOND)
    events = events_of()
    ids = [event_id(e) for e in events]
    assert before <= set(ids)
    assert len(ids) == len(set(ids)) + 1
    assert sorted({e.source_event_id for e in events}, key=int) == [str(i) for i in range(6)]


async def test_killed_before_the_write_nothing_is_lost(rig, events_of):
    await rig.start()
    rig.open("BTC_1", "FB_1")
    await rig.play(1500)

    async def dies(*_):
        raise Killed

    rig.writer.write = dies
    with pytest.raises(Killed):
        await rig.play(2000)
    again = rig.reborn()
    await again.start()
    again.open("BTC_1", "FB_1")
    await again.play(5 * SECOND)
    assert sorted({e.source_event_id for e in events_of()}, key=int) == [str(i) for i in range(6)]


async def test_a_result_that_went_without_its_market_goes_so_again_after_a_kill(make_rig, events_of):
    rig = make_rig(hold_ms=1 * SECOND)
    await rig.start()
    write = rig.writer.write

    async def dies_after_a_result(events, outcomes=()):
        await write(events, outcomes)
        if any(e.source_event_id == "5" for e in events):
            raise Killed

    rig.writer.write = dies_after_a_result
    with pytest.raises(Killed):
        await rig.play(9 * SECOND)
    again = rig.reborn()
    await again.start()
    again.open("FB_1", "BTC_1")
    await again.play(1 * SECOND)
    sent = [e for e in events_of() if e.source_event_id == "5"]
    assert [e.market_id for e in sent] == [None, None]
    assert len({event_id(e) for e in sent}) == 1


async def test_lost_acknowledgements_make_repeats_and_no_holes(rig, broker, events_of):
    await rig.start()
    rig.open("BTC_1", "FB_1")
    broker.faults.lose_acks = 1
    broker.faults.refuse_sends = 1
    await rig.play(6 * SECOND)
    events = events_of()
    assert {e.source_event_id for e in events} == {str(i) for i in range(6)}
    assert len({event_id(e) for e in events}) == 6


async def test_a_long_stop_moves_the_rest_of_history(rig, clock, events_of):
    await rig.start()
    rig.open("BTC_1", "FB_1")
    await rig.play(2500)
    clock.advance(3_600 * SECOND)
    again = rig.reborn()
    assert await again.start()
    again.open("BTC_1", "FB_1")
    resumed = clock.now_ms()
    await again.play(4 * SECOND)
    last = [e.event_ms for e in events_of() if e.source_event_id in {"4", "5"}]
    assert all(resumed <= ms <= resumed + 4 * SECOND for ms in last)


async def test_a_damaged_state_file_is_named_and_not_overwritten(rig):
    await rig.start()
    rig.file.path.write_text('{"anchors": ')
    with pytest.raises(StateError, match=r"replay\.json"):
        await rig.reborn().start()
