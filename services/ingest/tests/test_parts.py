"""The small parts: following control records, writing, patience, the chain's time, settings of connectors."""

import asyncio
import hashlib

import msgspec
import pytest
from control_world import DEPLOYMENT, a_set, set_value
from ingest_world import PARTITIONS, Result, ToyDomain
from m0_ingest import connectors, turns
from m0_ingest.chain_time import ChainWatch
from m0_ingest.control import ControlFollower
from m0_ingest.door import checked, decided
from m0_ingest.turns import Turns
from m0_ingest.writer import RawWriter
from m0common.errors import SettingsError, Unavailable
from m0common.messages import DeadLetter, MarketOutcome, raw_event
from m0common.stream.memory import MemoryBroker
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.topics import DLQ, OUTCOMES, RAW, TOPICS
from m0lanes.port import Refused
from m0replay.control_log import ControlLog


async def followed(world):
    control = ControlLog(DEPLOYMENT)
    follower = ControlFollower(world.broker, control, PARTITIONS)
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


async def test_another_count_of_partitions_is_refused():
    broker = MemoryBroker()
    await broker.create_topics(TOPICS, 4)
    with pytest.raises(SettingsError, match=r"m0\.raw\.v1 has 4 partitions and 8 are configured"):
        await RawWriter(broker, 8).start()


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
    assert not await world.writer.nothing_written()


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


async def test_what_the_broker_does_not_take_is_said_until_it_does(world):
    world.broker.faults.refuse_sends = 1
    with pytest.raises(Unavailable):
        await world.writer.write([an_event()])
    assert "refused the connection" in world.writer.problem
    await world.writer.write([an_event()])
    assert world.writer.problem is None


async def test_a_turn_is_taken_again_until_it_succeeds():
    answers = [Unavailable("away"), Unavailable("away"), 7]

    async def turn():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            problems.append(task.problem)
            raise answer
        return answer

    problems = []
    task = Turns("test", turn, first_wait_s=0.001)
    assert await task.once() == 7
    assert problems == [None, "away"]
    assert task.problem is None
    assert turns.FIRST_WAIT_S < turns.LONGEST_WAIT_S


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
