"""The small parts of the stage loop, one by one."""

import asyncio
import hashlib
import threading
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0common.errors import DeadLetterError, Unavailable
from m0common.ids import Lane
from m0common.messages import DeadLetter
from m0common.stream.core import Taken
from m0common.stream.deadletters import DeadLetterLimit, LaneLimits, TooManyDeadLetters, dead_letter
from m0common.stream.partition import partition_for, wire_bytes
from m0common.stream.records import Produce, Record
from m0common.stream.retry import Retry
from m0common.stream.stuck import Watchdog
from m0common.tasks import end_task


def letter_of(record, error="not_json", reason="no"):
    produced = dead_letter("normalize", record, DeadLetterError(error, reason))
    return produced, msgspec.msgpack.decode(produced.value, type=DeadLetter)


def test_a_dead_letter_holds_the_beginning_of_its_record_and_identifies_the_whole():
    value, key = bytes(range(256)) * 100, b"k" * 300
    produced, letter = letter_of(Record("m0.raw.v1", 5, 77, key, value), reason="r" * 5000)
    assert (produced.topic, produced.partition, produced.key) == ("m0.dlq.v1", 5, b"m0.raw.v1:5:77")
    assert (letter.topic, letter.partition, letter.offset, letter.stage) == ("m0.raw.v1", 5, 77, "normalize")
    assert (letter.value, letter.key, letter.reason) == (value[:4096], key[:256], "r" * 1024)
    assert (letter.value_bytes, letter.value_hash) == (25_600, hashlib.sha256(value).digest())


def test_a_small_record_is_in_its_letter_whole():
    _, letter = letter_of(Record("t", 0, 0, None, b"x"))
    assert (letter.key, letter.value, letter.value_bytes) == (None, b"x", 1)
    assert letter_of(Record("t", 0, 0, b"", b""))[1].key == b""


def test_of_the_headers_a_letter_has_the_trace_alone():
    trace = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    produced, _ = letter_of(Record("t", 0, 0, None, b"", (("other", b"x" * 2_000_000), trace)))
    assert produced.headers == (trace,)
    assert letter_of(Record("t", 0, 0, None, b"", (("traceparent", b"x" * 2_000_000),)))[0].headers == ()


@given(
    st.binary(max_size=300).map(lambda part: part * 40) | st.none(),
    st.binary(max_size=300).map(lambda part: part * 40),
    st.lists(st.tuples(st.text(max_size=9) | st.just("traceparent"), st.binary(max_size=300)), max_size=4),
    st.text(st.characters(codec=None), max_size=300).map(lambda part: part * 40),
)
def test_a_letter_can_always_be_written_whatever_its_record_and_its_reason_hold(key, value, headers, text):
    produced, letter = letter_of(Record("t", 0, 0, key, value, tuple(headers)), text, text)
    assert wire_bytes(produced) < 8192
    assert value.startswith(letter.value)
    assert len(letter.reason.encode()) <= 1024


def bad_until_refused(limit, most=10_000):
    for count in range(most):
        try:
            limit.bad()
        except TooManyDeadLetters:
            return count
    return most


def test_a_hundred_dead_letters_in_a_row_are_the_limit_by_default():
    limit = DeadLetterLimit()
    limit.good(5)
    assert bad_until_refused(limit) == 100
    limit.good()
    assert bad_until_refused(limit) > 0


def test_more_than_half_of_the_last_two_hundred_is_too_many():
    limit = DeadLetterLimit()
    limit.good(200)
    for _ in range(150):
        limit.bad()
        limit.good()
    limit.bad()  # a hundred of the last two hundred
    with pytest.raises(TooManyDeadLetters, match="50% of the last 200"):
        limit.bad()
    limit.good()
    limit.bad()


@given(st.lists(st.one_of(st.just(-1), st.integers(0, 30)), max_size=300))
def test_the_limit_agrees_with_counting_the_window_again_each_time(events):
    limit = DeadLetterLimit(window=20, max_share=0.4, max_in_a_row=7)
    history = []
    for event in events:
        if event >= 0:
            limit.good(event)
            history += [False] * event
            continue
        in_a_row = 0
        while in_a_row < len(history) and history[-1 - in_a_row]:
            in_a_row += 1
        too_many = in_a_row >= 7 or (len(history) >= 20 and sum(history[-19:]) + 1 > 8)
        try:
            limit.bad()
        except TooManyDeadLetters:
            assert too_many
        else:
            assert not too_many
            history.append(True)


COINS, MEDALS = Lane("coins", 1), Lane("medals", 1)


def refused_at(limits, lane, positions):
    """The first position that is too much for a lane, and what is said of it."""
    for position in positions:
        said = limits.bad(Taken(lane, position))
        if said is not None:
            return position, said
    return None


def test_each_lane_has_a_limit_of_its_own():
    limits = LaneLimits()
    assert refused_at(limits, COINS, range(1, 101)) is None
    assert refused_at(limits, MEDALS, range(1, 101)) is None
    position, said = refused_at(limits, COINS, [101])
    assert (position, said) == (101, "more than 100 messages in a row cannot be processed")
    assert refused_at(limits, MEDALS, [102]) is None, "it took a good one in between"


def test_what_a_lane_took_between_two_letters_was_good():
    limits = LaneLimits()
    assert refused_at(limits, COINS, range(1, 1_000, 2)) is None, "every other one, which is not more than half"
    position, said = refused_at(limits, COINS, range(1_001, 1_400))
    assert position < 1_101
    assert "50% of the last 200" in said


def test_behind_a_refusal_and_in_a_new_life_a_lane_is_counted_anew():
    limits = LaneLimits()
    assert refused_at(limits, COINS, range(1, 200))[0] == 101
    assert refused_at(limits, COINS, range(102, 202)) is None
    assert refused_at(limits, COINS, range(1, 101)) is None, "its positions begin again"
    assert refused_at(limits, COINS, [101])[0] == 101


async def test_a_blocked_event_loop_fails_health_and_recovers():
    stuck = []
    watchdog = Watchdog("test", 1000, lambda: stuck.append(1))
    watchdog._limit_s = 0.2
    watchdog.start()
    await asyncio.sleep(0.05)
    assert watchdog.problem() is None
    time.sleep(0.5)  # noqa: ASYNC251 - this is the fault
    assert "event loop has been blocked" in watchdog.problem()
    assert stuck == [1]
    for _ in range(10):
        watchdog.beat()
        await asyncio.sleep(0.03)
    assert watchdog.problem() is None
    watchdog.stop()


async def test_missing_progress_fails_health_and_logs_all_stacks(monkeypatch):
    logged = []
    from m0common.stream import stuck

    monkeypatch.setattr(stuck.log, "error", lambda event, **fields: logged.append(fields), raising=False)
    watchdog = Watchdog("test", 1000)
    watchdog._limit_s = 0.2

    async def waits_forever():
        await asyncio.Event().wait()

    task = asyncio.create_task(waits_forever(), name="the culprit")
    watchdog.start()
    await asyncio.sleep(0.5)
    assert "no progress" in watchdog.problem()
    watchdog.stop()
    task.cancel()
    assert len(logged) == 1, "once per incident"
    stacks = logged[0]["stacks"]
    assert "waits_forever" in "".join(stacks["task the culprit"])
    assert any(name.startswith("thread MainThread") for name in stacks)
    assert not any(thread.name == "watchdog-test" for thread in threading.enumerate())


async def test_retry_repeats_until_it_succeeds_and_says_meanwhile_why_not():
    seen = []
    retry = Retry("test", lambda: seen.append(retry.problem))
    answers = iter([Unavailable("one"), Unavailable("two"), None])

    async def operation():
        answer = next(answers)
        if answer is not None:
            raise answer
        return "done"

    assert await retry.run(operation) == "done"
    assert seen == ["one", "two"]
    assert retry.problem is None


async def test_retry_never_gives_up_and_says_why_it_does_not_succeed():
    asked, retry = asyncio.Queue(), Retry("test", lambda: None)

    async def operation():
        asked.put_nowait(None)
        raise Unavailable("away")

    trying = asyncio.create_task(retry.run(operation))
    for _ in range(3):
        await asyncio.wait_for(asked.get(), 60)
    assert retry.problem == "away"
    await end_task(trying)
    assert trying.cancelled()


async def test_a_send_that_nobody_acknowledges_is_a_problem_before_its_time_is_up():
    acknowledged, messages = asyncio.Event(), [Produce("t", 0, b"k", b"v")]

    class Slow:
        async def send(self, sent):
            assert sent == messages
            await acknowledged.wait()
            return {}

    retry = Retry("test", lambda: None)
    sending = asyncio.create_task(retry.send(Slow(), messages))
    await asyncio.sleep(0)
    assert retry.problem is None
    async with asyncio.timeout(60):
        while (problem := retry.problem) is None:  # noqa: ASYNC110 - what readiness would see
            await asyncio.sleep(0.05)
    assert problem.startswith("no broker has answered for 4 s: a send is not acknowledged")
    acknowledged.set()
    assert await sending == {}
    assert retry.problem is None


@given(st.binary(max_size=40), st.integers(1, 1000))
def test_every_key_has_one_partition(key, partitions):
    assert 0 <= partition_for(key, partitions) < partitions
    assert partition_for(key, partitions) == partition_for(key, partitions)


@given(
    st.binary(max_size=300) | st.none(),
    st.binary(max_size=300),
    st.lists(st.tuples(st.text(), st.binary()), max_size=4),
)
def test_the_size_of_a_message_is_never_less_than_what_kafka_writes(key, value, headers):
    from aiokafka.record.default_records import DefaultRecordBatchBuilder

    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    builder.append(0, 1_700_000_000_000, key, value, headers)
    assert len(builder.build()) <= wire_bytes(Produce("t", 0, key, value, tuple(headers)))
