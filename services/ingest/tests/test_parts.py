"""The small parts: following control records, writing, patience, the chain's time, settings of connectors."""

import asyncio
import hashlib

import msgspec
import pytest
from control_world import DEPLOYMENT, a_set, set_value
from ingest_world import PARTITIONS, Result, ToyDomain
from m0_ingest import connectors
from m0_ingest.chain_time import ChainWatch
from m0_ingest.door import checked, decided
from m0_ingest.log import LogFollower
from m0_ingest.turns import take_turns
from m0common.cursors import Cursors, cursor
from m0common.errors import SettingsError, Unavailable
from m0common.messages import DeadLetter, MarketOutcome, raw_event
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.topics import CURSORS, DLQ, OUTCOMES, RAW
from m0lanes.port import Refused
from m0replay.control_log import ControlLog


async def followed(world):
    control = ControlLog(DEPLOYMENT)
    follower = LogFollower(world.broker, control, Cursors(), PARTITIONS)
    return control, follower, asyncio.create_task(follower.run())


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what others see is asked for, not told
            await asyncio.sleep(0.01)


async def stop(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_follower_is_caught_up_once_it_has_read_what_was_there(world):
    await world.put(a_set(), 3)
    control, follower, task = await followed(world)
    assert follower.problem is not None
    await asyncio.wait_for(follower.caught_up.wait(), 60)
    assert (control.catalogs(), follower.problem) == (["sports"], None)
    await world.put(a_set(catalog="crypto"), 3)
    await until(lambda: control.catalogs() == ["crypto", "sports"])
    await stop(task)


async def test_an_empty_log_is_caught_up_with(world):
    _, follower, task = await followed(world)
    await asyncio.wait_for(follower.caught_up.wait(), 60)
    await stop(task)


async def test_the_follower_reads_again_where_the_log_begins_when_its_place_is_gone(world):
    await world.put(a_set(), 3)
    control, follower, task = await followed(world)
    await asyncio.wait_for(follower.caught_up.wait(), 60)
    world.broker.append([Produce(RAW.name, 3, None, b"{}"), Produce(RAW.name, 3, None, set_value(a_set(catalog="x")))])
    world.broker.truncate(RAW.name, 3, 2)
    await until(lambda: control.catalogs() == ["sports", "x"])
    await stop(task)


async def test_the_end_is_reached_when_all_that_was_committed_has_been_read(world):
    control, cursors = ControlLog(DEPLOYMENT), Cursors()
    follower = LogFollower(world.broker, control, cursors, PARTITIONS)
    task = asyncio.create_task(follower.run())
    for number in range(50):
        await world.put(a_set(catalog=f"c{number}"), 3)
        await world.writer.write(cursors={"history:test": number})
        await asyncio.wait_for(follower.reach_end(), 60)
        assert (len(control.catalogs()), cursors.get("history:test", int)) == (number + 1, number)
    await stop(task)


async def test_the_end_lies_behind_what_somebody_else_has_begun_and_not_ended(world):
    control = ControlLog(DEPLOYMENT)
    follower = LogFollower(world.broker, control, Cursors(), PARTITIONS)
    task = asyncio.create_task(follower.run())
    begun = world.broker.transaction()
    await begun.send(Produce(RAW.name, 3, None, b"{}"))
    await world.writer.say([3], set_value(a_set()))
    reaching = asyncio.create_task(follower.reach_end())
    await asyncio.wait_for(follower.caught_up.wait(), 60)
    await asyncio.sleep(0.1)
    assert not reaching.done()
    await begun.abort()
    await asyncio.wait_for(reaching, 60)
    assert control.catalogs() == ["sports"]
    await stop(task)


async def test_cursors_of_a_topic_that_was_replaced_are_those_of_the_new_one(world):
    cursors = Cursors()
    follower = LogFollower(world.broker, ControlLog(DEPLOYMENT), cursors, PARTITIONS)
    task = asyncio.create_task(follower.run())
    await world.writer.write(cursors={"one": 1, "two": 2})
    await until(lambda: cursors.has("two"))
    del world.broker.logs.topics[CURSORS.name]
    await world.broker.create_topics([CURSORS], PARTITIONS)
    await world.broker.producer().send([cursor("three", 3)])
    await until(lambda: cursors.has("three"))
    assert not cursors.has("one")
    await stop(task)


def an_event(group="eng.1", payload=None):
    return raw_event("toy", "1", group, None, "result", 1, 1, payload or {}, 1)


async def test_events_go_to_their_groups_partition_and_outcomes_to_their_catalogs(world):
    await world.writer.write([an_event()], [MarketOutcome("FB_1", "sports", 0, bytes(32), 1, "toy")])
    (record,) = world.broker.log(RAW.name, partition_for(b"eng.1", PARTITIONS))
    assert record.key == b"eng.1"
    (outcome,) = world.broker.log(OUTCOMES.name, partition_for(b"sports", PARTITIONS))
    assert outcome.key == b"FB_1"


async def test_a_lane_record_is_the_same_bytes_in_each_named_partition(world):
    await world.writer.say([1, 6], b"marker")
    counts = [len(world.broker.log(RAW.name, p)) for p in range(PARTITIONS)]
    assert counts == [0, 1, 0, 0, 0, 0, 1, 0]


async def test_a_message_too_large_leaves_one_small_dead_letter_and_the_others_are_written(world):
    large = an_event(payload={"text": "x" * RAW.max_message_bytes})
    await world.writer.write([an_event(), large, an_event("es.1")])
    assert len(world.events()) == 2
    partition = partition_for(b"eng.1", PARTITIONS)
    (record,) = world.broker.log(DLQ.name, partition)
    letter = msgspec.msgpack.decode(record.value, type=DeadLetter)
    assert (letter.stage, letter.error, letter.offset) == ("ingest", "too_large", -1)
    assert (letter.topic, letter.partition) == (RAW.name, partition)
    assert letter.value_bytes > RAW.max_message_bytes > len(letter.value)
    assert len(letter.value_hash) == hashlib.sha256().digest_size


async def test_events_outcomes_and_cursor_are_written_whole_or_not_at_all(world):
    for fault, count in (("refuse_sends", 0), ("die_in_transactions", 0), ("lose_acks", 1)):
        setattr(world.broker.faults, fault, 1)
        with pytest.raises(Unavailable):
            await world.writer.write([an_event()], [MarketOutcome("FB_1", "sports", 0, bytes(32), 1, "toy")], {"k": 1})
        await world.writer.start()
        assert (len(world.events()), len(world.outcomes()), world.cursors().has("k")) == (count, count, count > 0)


async def test_turns_go_on_side_by_side_until_one_raises():
    taken = []

    async def patient():
        taken.append("patient")
        return 0

    async def failing():
        if len(taken) > 3:
            raise Unavailable("away")
        return 0

    with pytest.raises(Unavailable, match="away"):
        await take_turns(patient, failing)
    count = len(taken)
    await asyncio.sleep(0.01)
    assert len(taken) == count


class FakeChain:
    def __init__(self, now_ms):
        self.now_ms = now_ms

    async def chain_time(self):
        return self.now_ms


@pytest.mark.parametrize("chain_ms", [None, 1_000_000, 940_000, 1_060_000])
async def test_a_chain_that_is_silent_or_within_a_minute_agrees(chain_ms):
    watch = ChainWatch(FakeChain(chain_ms))
    assert await watch.agrees(1_000_000)
    assert watch.problem is None
    assert await ChainWatch(None).agrees(1_000_000)


@pytest.mark.parametrize("chain_ms", [939_999, 1_060_001])
async def test_a_chain_more_than_a_minute_apart_is_a_problem(chain_ms):
    watch = ChainWatch(FakeChain(chain_ms))
    assert not await watch.agrees(1_000_000)
    assert "more than 60 s apart: set this machine's clock" in watch.problem


def test_the_door_of_a_domain_takes_what_it_will_read_and_nothing_else():
    domain = ToyDomain()
    assert bytes(checked(domain, "result", Result("A", "B", 1))) == b'{"home":"A","away":"B","home_goals":1}'
    assert decided(domain, "result", Result("A", "B", 0), ("AWAY", "HOME")) == 0
    for payload in (Result("A", "A", 1), Result("A", "B", -1), Result("A", "\ud800", 1)):
        with pytest.raises(Refused):
            checked(domain, "result", payload)
    with pytest.raises(Refused, match="domain toy failed: ValueError"):
        decided(domain, "result", Result("A", "B", 1), ("UP", "DOWN"))


FOOTBALL = """
[catalog]
anything = 1
[connector]
connector = "football"
live_from = 2015-08-22
[connector.titles]
"eng.1" = "Premier League"
"""


def test_the_connector_table_is_read_and_the_catalogs_left_alone(tmp_path):
    path = tmp_path / "sports.toml"
    path.write_text(FOOTBALL)
    found = connectors.load(path)
    assert (found.connector, found.domain, found.titles) == ("football", "sports", {"eng.1": "Premier League"})
    path.write_text("[catalog]\nanything = 1\n")
    assert connectors.load(path) is None
    assert connectors.load(tmp_path / "absent.toml") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FOOTBALL.replace("live_from", "live_form"), r"connector\.live_form is not a setting: did you mean live_from"),
        (FOOTBALL.replace('"football"', '"cricket"'), r"'cricket'"),
        (FOOTBALL.replace("2015-08-22", '"soon"'), r"connector\.live_from: "),
        ("connector = 1", r"connector is 1: write it as a table, \[connector\]"),
        ("[connector", r"sports\.toml: "),
    ],
)
def test_a_mistake_in_it_is_named_with_the_nearest_right_name(tmp_path, text, message):
    path = tmp_path / "sports.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        connectors.load(path)
