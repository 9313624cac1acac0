"""Outages, lost answers, bad messages and holes: nothing is lost, and whoever is not concerned goes on."""

import asyncio

import lanes_world as lanes
import pytest
from loop_world import NAMES
from m0common.messages import HeaderMessage, LaneMessage, encode
from m0common.settings import Stage
from m0common.stream.records import Produce
from m0common.topics import FEATURES, NORMALIZED, RAW
from m0lanes.generations import lanes_of, partition_of
from msgspec import Raw, msgpack

_message = msgpack.Decoder(LaneMessage).decode


# --- the broker ------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(400)
@pytest.mark.outage
async def test_a_broker_that_dies_and_comes_back_costs_time_and_nothing_else(stages):
    records = lanes.season(4, first=stages.first).records
    half = len(records) // 2
    stages.start()
    await stages.write(records[:half])
    await asyncio.sleep(0.3)
    stages.world.break_down()
    await stages.until(lambda: all(stages.loops[name].ready() is not None for name in NAMES), 60)
    assert all(stages.loops[name].healthy() is None for name in NAMES)
    stages.world.repair()
    await stages.write(records[half:])
    await stages.until_said(await stages.expected(), 180)
    await stages.until(stages.ready)


async def test_refused_sends_and_lost_answers_are_repeated(memory_stages):
    stages = memory_stages
    records = lanes.season(4, first=stages.first).records
    stages.start()
    faults = stages.world.broker.faults
    for start in range(0, len(records), 10):
        faults.refuse_sends = faults.lose_acks = 0
        await stages.write(records[start : start + 10])
        faults.refuse_sends, faults.lose_acks = 3, 3
        await asyncio.sleep(0.05)
    faults.refuse_sends = faults.lose_acks = 0
    await stages.until_said(await stages.expected())
    assert await stages.letters() == []


async def test_a_slow_broker_holds_back_reading_and_drops_nothing(memory_stages):
    stages = memory_stages
    stages.world.broker.faults.send_delay_s = 0.02
    await stages.write(lanes.season(3, first=stages.first).records)
    stages.start(settings=Stage(batch_records=5, poll_timeout_ms=5, commit_interval_ms=50))
    await stages.until_said(await stages.expected())


async def test_a_stage_that_is_cancelled_while_an_outage_holds_its_drain_up_loses_nothing(memory_stages):
    stages = memory_stages
    records = lanes.season(2, first=stages.first).records
    await stages.write(records)
    stages.world.broker.faults.refuse_sends = 1_000_000
    stages.start("normalize")
    await stages.until(lambda: "refused" in (stages.loops["normalize"].ready() or ""))
    stages.loops["normalize"].stop()
    await asyncio.sleep(0.2)
    assert not stages.tasks["normalize"].done()
    await stages.kill("normalize")
    stages.world.broker.faults.refuse_sends = 0
    stages.start()
    await stages.until_said(await stages.expected())


# --- bad messages ----------------------------------------------------------------------------------------------------


async def test_any_number_of_bad_raw_messages_costs_one_letter_each_and_stops_nothing(stages):
    world = lanes.season(1, first=stages.first)
    bad = [world.raw(n % lanes.PARTITIONS, b"{" * (n % 7)) for n in range(400)]
    lanes.go_on(world, [1])
    await stages.write(world.records)
    stages.start()
    await stages.until_said(await stages.expected())
    await stages.stop("normalize")
    stages.start("normalize")
    await stages.until(stages.ready)
    origins = {(letter.topic, letter.partition, letter.offset) for letter in await stages.letters()}
    assert origins == {(RAW.name, record.partition, record.offset) for record in bad}


async def send(stages, *messages: Produce) -> None:
    producer = stages.broker.producer()
    await producer.start()
    await producer.send(messages)
    await producer.stop()


async def test_any_number_of_values_that_are_no_message_of_a_lane_costs_a_letter_each_and_stops_nothing(stages):
    records = lanes.season(3, first=stages.first).records
    half = next(n for n, r in enumerate(records) if b'"epoch_id":%d' % (stages.first + 1) in r.value)
    await stages.write(records[:half])
    stages.start()
    await stages.until_closed(stages.first)
    wrong = encode(LaneMessage("coins", 99, 0, 1, lanes.COINS_RELEASE, 9, "generation", Raw(b"\xc0")))
    values = [b"nonsense %d" % n for n in range(250)] + [wrong] * 50
    await send(stages, *(Produce(NORMALIZED.name, n % lanes.PARTITIONS, b"x", v) for n, v in enumerate(values)))
    await stages.write(records[half:])
    await stages.until_said(await stages.expected())

    async def all_told() -> bool:
        return len({(letter.partition, letter.offset) for letter in await stages.letters()}) == len(values)

    await stages.until(all_told)
    assert stages.ready()
    assert stages.loops["feature"].notes() is None


async def test_a_lane_of_which_too_many_messages_fail_in_a_row_is_parked_and_a_restart_goes_on_behind_them(stages):
    await stages.write(lanes.season(1, first=stages.first).records)
    partition = lane_partitions()[0]
    stages.start()
    await stages.until_closed(stages.first)
    await stages.stop("normalize")
    newest = max(_message(r.value).seq for r in await stages.read(NORMALIZED.name) if r.partition == partition)

    def failing(seq: int) -> Produce:
        message = LaneMessage("coins", partition, 0, seq, lanes.COINS_RELEASE, 99, "tossed", Raw(b"\xc0"))
        return Produce(NORMALIZED.name, partition, b"coins", encode(message))

    await send(stages, *(failing(newest + 1 + n) for n in range(150)))
    await stages.until(lambda: stages.loops["feature"].notes() is not None)
    note = stages.loops["feature"].notes() or ""
    assert f"coins/{partition}: more than 100 messages in a row cannot be processed" in note
    assert "repair the cause and restart the stage" in note
    assert stages.loops["feature"].ready() is None, "the other lanes go on"
    assert [r.lane.partition for r in stages.reports("feature") if r.parked] == [partition]
    assert len(await stages.letters()) == 101
    await stages.until(lambda: _says_parked(stages, 2, partition))
    await stages.stop("feature")
    stages.start("feature")

    async def all_told() -> bool:
        return len(await stages.letters()) == 150

    await stages.until(all_told)
    assert len({letter.offset for letter in await stages.letters()}) == 150, "none was skipped, and none told twice"
    assert stages.loops["feature"].notes() is None


# --- holes -----------------------------------------------------------------------------------------------------------


def lane_partitions() -> tuple[int, ...]:
    return lanes_of(lanes.World().payload(1))


async def test_a_lane_with_a_hole_is_parked_and_another_catalog_in_its_partition_goes_on(stages):
    one = lanes.season(2, first=stages.first)
    partition = lane_partitions()[0]
    group = next(g for g in ("medal", *(f"token{n}" for n in range(99))) if partition_of(g, 4) == partition)
    other = lanes.World("medals", groups=[group], first=stages.first)
    other._next = one._next  # one log
    other.begin()
    await stages.write([*one.records, *other.records])
    stages.start()
    await stages.until_closed(stages.first + 1)
    # messages of the first catalog that never were: a hole
    newest = max(r.seq for r in stages.reports("normalize") if r.lane == ("coins", partition))
    lost = LaneMessage("coins", partition, 0, newest + 7, lanes.COINS_RELEASE, 99, "tossed", Raw(b"\xc0"))
    await send(stages, Produce(NORMALIZED.name, partition, b"coins", encode(lost)))
    await stages.until(lambda: stages.loops["feature"].notes() is not None)
    note = stages.loops["feature"].notes() or ""
    assert f"coins/{partition}: lane coins/{partition} expects message {newest + 1} and got {newest + 7}" in note
    assert stages.loops["feature"].ready() is None
    other.open(group, "MEDAL", other.base_ms)
    other.toss(group, True, other.base_ms + 500)
    for number in range(3):
        other.end(other.first + number)
    await stages.write(other.records[-5:])

    async def closed() -> bool:
        return ("medals", other.first + 2) in {
            (m.catalog, m.epoch_id) for m in [*map(header, await stages.read("m0.headers.v1"))]
        }

    await stages.until(closed)
    parked = [r.lane for r in stages.reports("feature") if r.parked]
    assert parked == [("coins", partition)]
    manifests = [m for m in await stages.manifests(2) if m.status == "parked"]
    assert {(m.catalog, m.partition) for m in manifests} == {("coins", partition)}
    assert len(manifests) == 1
    assert "m0 lane rebase coins" in manifests[0].reason


def header(record):
    return msgpack.decode(record.value, type=HeaderMessage)


async def test_a_lane_of_which_no_checkpoint_restores_begins_again_with_a_whole_log(memory_stages):
    stages = memory_stages
    await stages.write(lanes.season(3, first=stages.first).records)
    stages.start()
    await stages.until_closed(stages.first + 2)
    await stages.stop(*NAMES)
    for partition in lane_partitions():
        end = stages.world.broker.topic(stages.broker.name("m0.state.feature.v1")).logs[partition].end_offset
        await stages.truncate("m0.state.feature.v1", partition, end)
    stages.start()
    await stages.until(stages.ready)
    await stages.until(lambda: sum(r.seq for r in stages.reports("feature")) > 50)
    assert stages.loops["feature"].notes() is None
    said = [_message(record.value) for record in await stages.read(FEATURES.name)]
    assert len(said) > len({(m.partition, m.seq) for m in said}), "it said again what it had said"
    by_number = {(m.partition, m.seq): bytes(m.body) for m in said}
    assert all(by_number[m.partition, m.seq] == bytes(m.body) for m in said)


async def test_a_lane_of_which_no_checkpoint_restores_is_parked_when_the_log_is_cut(memory_stages):
    stages = memory_stages
    await stages.write(lanes.season(3, first=stages.first).records)
    stages.start()
    await stages.until_closed(stages.first + 2)
    await stages.stop(*NAMES)
    partition = lane_partitions()[0]
    end = stages.world.broker.topic(stages.broker.name("m0.state.feature.v1")).logs[partition].end_offset
    await stages.truncate("m0.state.feature.v1", partition, end)
    await stages.truncate(NORMALIZED.name, partition, 1)
    stages.start()
    await stages.until(lambda: stages.loops["feature"].notes() is not None)
    assert "no checkpoint of lane coins" in (stages.loops["feature"].notes() or "")
    parked = [r for r in stages.reports("feature") if r.parked]
    assert [r.lane.partition for r in parked] == [partition]
    assert parked[0].seq > 0
    await stages.until(lambda: _says_parked(stages, 2, partition))
    await stages.stop(*NAMES)
    said = [m for m in await stages.manifests(2) if (m.partition, m.status) == (partition, "parked")]
    assert len(said) == 1, "once, not with every look"


async def _says_parked(stages, stage, partition) -> bool:
    """Whether the newest manifest of a lane says what is wrong, for `m0 lane list`."""
    newest = [m for m in await stages.manifests(stage) if m.partition == partition][-1]
    return newest.status == "parked" and "begin a new life" in newest.reason


async def test_a_lane_whose_state_was_cut_off_under_it_says_everything_again(stages, monkeypatch):
    """A lane that stands still for long is carried forward by others, and what it said itself is deleted."""
    monkeypatch.setattr("m0common.stream.loop.MEASURE_INTERVAL_S", 0.1)
    records = lanes.season(6, first=stages.first).records
    half = next(n for n, r in enumerate(records) if b'"epoch_id":%d' % (stages.first + 2) in r.value) + 8
    await stages.write(records[:half])
    stages.start()
    await stages.until_closed(stages.first + 1)
    await stages.stop("normalize")
    await stages.until(lambda: all(r.seq > 0 for r in stages.reports("feature")))
    begins = {}
    for partition in lane_partitions():
        begins[partition] = max(m.to_offset for m in await stages.manifests(2) if m.partition == partition)
        await stages.truncate("m0.state.feature.v1", partition, begins[partition])
    slots = stages.loops["feature"]._core._slots
    await stages.until(lambda: all(s.beginnings.whole_next for p in begins for s in slots.all(p)))
    await stages.write(records[half:])
    stages.start("normalize")
    await stages.until_closed(stages.first + 5)
    await stages.stop("normalize", "feature")
    for partition, begin in begins.items():
        newest = max((m for m in await stages.manifests(2) if m.partition == partition), key=lambda m: m.position)
        assert newest.from_offset >= begin, "a restart cannot read this"
    stages.start("normalize", "feature")
    await stages.until(stages.ready)
    assert stages.loops["feature"].notes() is None


async def test_a_stage_without_lanes_goes_on_where_its_group_has_come(stages):
    world = lanes.World(first=stages.first)
    for n in range(50):
        world.event("penny", "toss", {"heads": True}, world.now_ms + n)
    await stages.write(world.records)
    stages.start("normalize")
    partition = partition_of("penny", lanes.PARTITIONS)
    await stages.until(
        lambda: {w.partition: o for w, o in stages.loops["normalize"]._next_offsets.items()} == {partition: 50}
    )
    await stages.stop("normalize")
    stages.start("normalize")
    await stages.until(stages.ready)
    await asyncio.sleep(0.3)
    assert stages.loops["normalize"]._core.drops == {}, "nothing is read twice"
    world.begin()
    lanes.go_on(world, [0])
    await stages.write(world.records[50:])
    stages.start("feature", "model", "bundle")
    await stages.until_closed(stages.first)
