"""The epoch clock decides by the log alone: each due epoch once in every lane, the same bytes, never a backlog."""

import asyncio

import msgspec
import pytest
from control_world import CLOCK, EPOCH_MS, GENESIS, OTHER, a_marker, a_set, group_in, hash_of, marker_value
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_world import World
from m0_ingest.epochs import CARRY_MS, NOTE_MS, RATE_DIVISOR, EpochClock
from m0common.clock import SlewedClock
from m0common.cursors import in_force_of
from m0common.errors import Unavailable
from m0common.telemetry.traces import epoch_trace
from m0common.topics import CURSORS, RAW
from m0lanes.authority import identity, is_signed_by
from m0lanes.control import EpochEndPayload, SourceRule
from m0replay.control_log import ControlLog

LATENESS_MS = 1_000
FIRST = a_set(lanes=(3, 5))
SECOND = a_set(2, lanes=(5, 6))


class Lives:
    """Lives of the epoch clock on one log."""

    def __init__(self, world):
        self.world = world
        self.begin()

    def begin(self, key=CLOCK):
        """Another run: it knows what is in the log and nothing else."""
        world = self.world
        world.control = ControlLog(world.control._deployment)
        world._read = [0] * len(world._read)
        world.follow()
        self.clock = SlewedClock(world.clock, RATE_DIVISOR, world.control.last_end_ms("sports"))
        self.epochs = EpochClock(world.control, world.writer, self.clock, key, GENESIS, lambda _: LATENESS_MS)

    async def run(self, ms, every=100):
        for _ in range(0, ms, every):
            self.world.clock.advance(every)
            await self.turn()

    async def turn(self):
        wait_ms = await self.epochs.turn()
        self.world.follow()
        return wait_ms

    def markers(self, lane):
        """Payloads of the markers of one lane, in order, copies included."""
        said = [payload_of(record.value) for record in self.world.broker.log(RAW.name, lane)]
        return [marker for marker in said if marker is not None]


def payload_of(value):
    raw = msgspec.json.decode(value)
    return msgspec.convert(raw["payload"], EpochEndPayload) if raw["kind"] == "epoch_end" else None


@pytest.fixture
def lives(world):
    return Lives(world)


async def begun(lives):
    await lives.world.put(FIRST)
    await lives.run(200)
    return lives.markers(3)[-1].epoch_id


async def test_before_the_first_set_is_in_every_lane_nothing_is_written(lives):
    await lives.world.put(FIRST, 3)
    await lives.run(60_000)
    assert lives.markers(3) == []
    assert lives.epochs.note() == "generation 1 of sports is missing in lanes 5: say it again with 'm0 catalog set'"


async def test_the_first_set_takes_force_at_once_by_a_marker_that_closes_nothing(lives, world):
    await world.put(FIRST)
    await lives.run(200)
    due = (world.clock.now_ms() - LATENESS_MS) // EPOCH_MS - 1
    expected = EpochEndPayload(
        "sports", due, due * EPOCH_MS, (due + 1) * EPOCH_MS, 0, (), a_marker(due, 0, (), FIRST).next
    )
    assert lives.markers(3) == lives.markers(5) == [expected]
    assert world.control.in_force("sports").payload == FIRST
    assert lives.epochs.note() is None


async def test_every_epoch_has_one_marker_in_each_lane_after_its_end_and_the_lateness(lives, world):
    first = await begun(lives)
    await lives.run(10 * EPOCH_MS)
    markers = lives.markers(3)
    assert lives.markers(5) == markers
    assert [m.epoch_id for m in markers] == list(range(first, first + len(markers)))
    assert len(markers) in {10, 11}
    assert {(m.generation, m.lanes, m.next) for m in markers[1:]} == {(1, (3, 5), None)}
    for record in world.broker.log(RAW.name, 3)[2:]:
        late_ms = record.append_ms - payload_of(record.value).window_end_ms
        assert LATENESS_MS <= late_ms <= LATENESS_MS + 200


async def test_a_marker_is_signed_and_bears_no_time_of_its_own(lives, world):
    await begun(lives)
    event = world.events("epoch_end")[-1]
    assert is_signed_by(event, identity(event), GENESIS, bytes(CLOCK.pubkey()))
    assert event.received_ms == event.event_ms == payload_of(msgspec.json.encode(event)).window_end_ms
    assert (event.source, event.group, event.market_id) == ("clock", "", None)


async def test_a_marker_bears_the_trace_of_its_epoch_in_every_lane_also_when_no_spans_are_made(lives, world):
    await begun(lives)
    await lives.run(3 * EPOCH_MS)
    found = [
        (payload_of(record.value).epoch_id, record.headers)
        for lane in (3, 5)
        for record in world.broker.log(RAW.name, lane)
        if payload_of(record.value) is not None
    ]
    assert len(found) >= 4
    assert all(headers == epoch_trace("sports", epoch_id) for epoch_id, headers in found)


async def test_it_says_how_long_until_the_next_marker(lives, world):
    await begun(lives)
    assert await lives.turn() == 500
    world.clock.advance(EPOCH_MS + LATENESS_MS - 120 - world.clock.now_ms() % EPOCH_MS)
    await lives.turn()
    assert await lives.turn() in {120, 500}


async def test_a_generation_takes_force_at_the_marker_after_it_is_in_every_lane(lives, world):
    await begun(lives)
    await world.put(SECOND, 5, 6)
    await lives.run(EPOCH_MS)
    assert world.control.in_force("sports").payload == FIRST
    await world.put(SECOND, 3)
    await lives.run(EPOCH_MS)
    activating = lives.markers(3)[-1]
    assert (activating.generation, activating.lanes, activating.next.generation) == (1, (3, 5), 2)
    assert bytes.fromhex(activating.next.hash) == hash_of(SECOND)
    assert lives.markers(6) == [activating]
    await lives.run(EPOCH_MS)
    assert lives.markers(3)[-1] == activating
    assert lives.markers(5)[-1] == lives.markers(6)[-1]
    assert (lives.markers(6)[-1].generation, lives.markers(6)[-1].lanes) == (2, (5, 6))


async def test_a_retired_catalog_gets_no_marker_after_the_activating_one_and_can_begin_again(lives, world):
    await begun(lives)
    await world.put(a_set(2, lanes=(3, 5), retired=True), 3, 5)
    await lives.run(10 * EPOCH_MS)
    assert lives.markers(3)[-1].next.generation == 2
    count = len(lives.markers(3))
    lives.begin()
    await lives.run(2 * EPOCH_MS)
    assert len(lives.markers(3)) == count
    await world.put(a_set(3, lanes=(3,)))
    await lives.run(3 * EPOCH_MS)
    again, *others = lives.markers(3)[count:]
    assert (again.generation, again.lanes, again.next.generation) == (2, (), 3)
    assert len(others) in {2, 3}


async def test_a_marker_cut_off_between_lanes_is_completed_with_the_same_bytes(lives, world):
    first = await begun(lives)
    await world.writer.say([3], marker_value(a_marker(first + 1, 1, (3, 5))))
    lives.begin()
    await lives.turn()
    assert world.broker.log(RAW.name, 5)[-1].value == world.broker.log(RAW.name, 3)[-1].value
    await lives.run(100)
    assert lives.markers(5)[-1].epoch_id == first + 1


@pytest.mark.parametrize("fault", ["lose_acks", "refuse_sends", "die_in_transactions"])
async def test_a_marker_of_which_nobody_knows_is_in_the_log_once_when_it_goes_on(lives, world, fault):
    await begun(lives)
    world.clock.advance(EPOCH_MS)
    setattr(world.broker.faults, fault, 1)
    with pytest.raises(Unavailable):
        await lives.epochs.turn()
    await world.writer.start()
    lives.begin()
    await world.put(SECOND, 3, 5, 6)
    await lives.run(300)
    markers = lives.markers(3)
    assert [marker.epoch_id for marker in markers] == [markers[0].epoch_id, markers[0].epoch_id + 1]
    assert lives.markers(5) == markers


async def test_the_next_marker_waits_until_the_last_one_has_been_read_back(lives, world):
    await begun(lives)
    for _ in range(3):
        world.clock.advance(EPOCH_MS)
        await lives.epochs.turn()
    assert len(lives.markers(3)) == 2
    world.follow()
    await lives.turn()
    assert lives.markers(3)[-1].epoch_id == lives.markers(3)[-2].epoch_id + 2


async def test_after_an_outage_only_the_newest_due_epoch_is_written(lives, world):
    first = await begun(lives)
    world.clock.advance(100 * EPOCH_MS)
    lives.begin()
    await lives.run(300)
    assert [m.epoch_id for m in lives.markers(3)] == [first, first + 100]


async def test_a_wall_clock_set_back_between_two_lives_repeats_no_epoch(lives, world):
    await begun(lives)
    await lives.run(5 * EPOCH_MS)
    count = len(lives.markers(3))
    world.clock.step(-4 * EPOCH_MS)
    lives.begin()
    await lives.run(5 * EPOCH_MS)
    epochs = [m.epoch_id for m in lives.markers(3)]
    assert epochs == list(range(epochs[0], epochs[0] + len(epochs)))
    assert len(epochs) - count in {3, 4, 5}


async def test_ten_minutes_ahead_for_five_seconds_cost_no_epoch(lives, world):
    await begun(lives)
    world.clock.step(600_000)
    await lives.run(5_000)
    world.clock.step(-600_000)
    await lives.run(5 * EPOCH_MS)
    epochs = [m.epoch_id for m in lives.markers(3)]
    assert epochs == list(range(epochs[0], epochs[0] + len(epochs)))
    assert abs(lives.markers(3)[-1].window_end_ms - world.clock.now_ms()) < 2 * EPOCH_MS


async def stepping(moves):
    """Epochs and append times of the markers that are written while the wall clock is moved about."""
    lives = Lives(await World().start())
    await begun(lives)
    for step, ms in moves:
        lives.world.clock.step(step)
        await lives.run(ms, 500)
    return [m.epoch_id for m in lives.markers(3)], lives.clock.now_ms()


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.integers(-600_000, 600_000), st.integers(1, 80).map(lambda turns: 500 * turns)),
        min_size=1,
        max_size=12,
    )
)
def test_no_steps_of_the_wall_clock_skip_an_epoch_or_shorten_one_by_more_than_a_tenth(moves):
    epochs, now_ms = asyncio.run(stepping(moves))
    assert epochs == list(range(epochs[0], epochs[0] + len(epochs)))
    passed = sum(ms for _, ms in moves)
    assert len(epochs) - 1 <= 1.1 * (passed + 1_000) / EPOCH_MS + 1
    assert len(epochs) - 1 >= 0.9 * (passed - 1_000) / EPOCH_MS - 1
    assert now_ms - (epochs[-1] + 1) * EPOCH_MS <= EPOCH_MS + LATENESS_MS + 1_000


async def test_a_clock_whose_key_the_catalog_does_not_name_says_so_and_writes_nothing(lives, world):
    lives.begin(OTHER)
    await world.put(FIRST)
    await lives.run(EPOCH_MS)
    assert lives.markers(3) == []
    assert f"end epochs with key {bytes(OTHER.pubkey()).hex()}" in lives.epochs.problem()
    await world.put(a_set(1, lanes=(3, 5), sources={"clock": SourceRule(("epoch_end",), bytes(OTHER.pubkey()).hex())}))
    await lives.run(EPOCH_MS)
    assert lives.epochs.problem() is None
    assert lives.markers(3) != []


async def test_a_set_that_the_log_is_about_to_forget_is_said_again(lives, world):
    await begun(lives)
    copies = lambda: [r for r in world.broker.log(RAW.name, 3) if b"catalog_set" in r.value]  # noqa: E731
    world.clock.advance(CARRY_MS + 2 * EPOCH_MS)
    await lives.run(200)
    await lives.run(200)
    assert len(copies()) == 2
    assert copies()[0].value == copies()[1].value
    world.control.trimmed(3, copies()[1].offset + 1)
    await lives.run(2 * EPOCH_MS)
    assert len(copies()) == 3
    assert lives.epochs.problem() is None


async def test_each_catalog_has_its_own_epochs(lives, world):
    await begun(lives)
    await world.put(a_set(lanes=(3,), catalog="crypto", epoch_ms=5_000, groups=(group_in(3, 1),)))
    await lives.run(2 * EPOCH_MS)
    by_catalog = {name: [m for m in lives.markers(3) if m.catalog == name] for name in ("sports", "crypto")}
    assert len(by_catalog["crypto"]) in {8, 9}
    assert len(by_catalog["sports"]) in {3, 4}


def forgotten(world):
    """The log forgets all that is in it."""
    for partition in range(len(world._read)):
        log = world.broker.log(RAW.name, partition)
        if log:
            world.broker.truncate(RAW.name, partition, log[-1].offset + 1)


async def test_when_all_was_off_for_longer_than_the_log_remembers_the_same_generation_goes_on(lives, world):
    await begun(lives)
    await world.put(SECOND, 3, 5, 6)
    await lives.run(3 * EPOCH_MS)
    last = lives.markers(5)[-1].epoch_id
    forgotten(world)
    world.clock.advance(30_000 * EPOCH_MS)
    lives.begin()
    await lives.run(3 * EPOCH_MS)
    assert lives.epochs.problem() is None
    assert world.control.in_force("sports").payload == SECOND
    assert [r for r in world.broker.log(RAW.name, 6) if b"catalog_set" in r.value]
    markers = lives.markers(5)
    assert {(m.generation, m.lanes, m.next) for m in markers} == {(2, (5, 6), None)}
    assert markers[0].epoch_id == last + 30_000
    await world.put(a_set(3, lanes=(5,)))
    await lives.run(2 * EPOCH_MS)
    assert world.control.in_force("sports").payload.generation == 3


async def test_a_retired_catalog_begins_again_behind_its_last_generation_when_the_log_has_forgotten_it(lives, world):
    await begun(lives)
    await world.put(a_set(2, lanes=(3, 5), retired=True), 3, 5)
    await lives.run(3 * EPOCH_MS)
    forgotten(world)
    world.clock.advance(30_000 * EPOCH_MS)
    lives.begin()
    await lives.run(2 * EPOCH_MS)
    assert (lives.markers(3), lives.epochs.problem()) == ([], None)
    await world.put(a_set(3, lanes=(3,)))
    await lives.run(3 * EPOCH_MS)
    first, *others = lives.markers(3)
    assert (first.generation, first.lanes, first.next.generation) == (2, (), 3)
    assert len(others) in {2, 3}


async def test_a_wall_clock_set_back_while_the_log_forgot_repeats_no_epoch(lives, world):
    await begun(lives)
    noted = lives.markers(3)[-1].epoch_id
    forgotten(world)
    world.clock.step(-100 * EPOCH_MS)
    lives.begin()
    await lives.run(5 * EPOCH_MS)
    epochs = [m.epoch_id for m in lives.markers(3)]
    assert epochs == list(range(noted + 1, noted + 1 + len(epochs)))
    assert len(epochs) >= 4


async def test_which_set_is_in_force_is_noted_when_it_changes_and_once_an_hour(lives, world):
    await begun(lives)
    await lives.run(10 * EPOCH_MS)
    assert len(world.broker.log(CURSORS.name, 0)) == 1
    world.clock.advance(NOTE_MS)
    await lives.run(2 * EPOCH_MS)
    assert len(world.broker.log(CURSORS.name, 0)) == 2
    await world.put(SECOND, 3, 5, 6)
    await lives.run(2 * EPOCH_MS)
    *_, known = filter(None, map(in_force_of, world.broker.log(CURSORS.name, 0)))
    assert (known.set, len(world.broker.log(CURSORS.name, 0))) == (world.control.in_force("sports").value, 3)
