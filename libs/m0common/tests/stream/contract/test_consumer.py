"""What every broker promises to who reads."""

import asyncio
import contextlib
import time

import pytest
from m0common.errors import DeadLetterError, OffsetsGone, SettingsError, Unavailable
from m0common.stream.broker import APPEND_TIME, AT_BEGINNING, AT_END, TopicPartition
from m0common.stream.deadletters import dead_letter
from m0common.stream.records import Produce
from m0common.topics import DLQ, RAW
from stream_world import LOG_APPEND_TIME


class App:
    """A consumer in a group and what happened to it, in order."""

    def __init__(self, world, group, member=None, starts=None):
        self.consumer = world.broker.consumer(group=world.name(group), member=member and world.name(member))
        self.starts = starts or {}
        self.happened = []
        self.held = set()
        self.records = []

    async def start(self, topic):
        await self.consumer.start()
        await self.consumer.subscribe([topic], self._assigned, self._revoked)
        return self

    async def _assigned(self, partitions):
        assert not self.held & partitions, "assigned twice without being revoked"
        await asyncio.sleep(0.02)
        self.held |= partitions
        self.happened.append(("assigned", frozenset(partitions)))
        return self.starts

    async def _revoked(self, partitions):
        assert partitions <= self.held
        self.held -= partitions
        self.happened.append(("revoked", frozenset(partitions)))

    async def poll(self, timeout_ms=100, max_records=1000):
        records = await self.consumer.getmany(max_records, timeout_ms)
        for record in records:
            assert TopicPartition(record.topic, record.partition) in self.held, "delivered before on_assigned"
        self.records += records
        return records

    @property
    def values(self):
        return [record.value for record in self.records]


async def until(condition, *apps, timeout_s=60.0):
    """Poll all apps at once until the condition holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not condition():
        assert loop.time() < deadline, f"still not so: {[app.happened for app in apps]}"
        await asyncio.gather(*(app.poll() for app in apps))


def messages(topic, count, partitions=2, start=0):
    return [Produce(topic, n % partitions, b"k", str(n).encode()) for n in range(start, start + count)]


async def test_a_group_reads_from_the_beginning_when_nothing_is_committed(world):
    topic = await world.topic("begin")
    await world.send(*messages(topic, 20))
    app = await App(world, "g").start(topic)
    await until(lambda: len(app.records) >= 20, app)
    assert sorted(map(int, app.values)) == list(range(20))
    await app.consumer.stop()


async def test_nothing_is_delivered_before_the_callback_has_returned_its_positions(world):
    topic = await world.topic("callback")
    await world.send(*messages(topic, 20))
    app = await App(world, "g", starts={TopicPartition(topic, 0): 7, TopicPartition(topic, 1): 9}).start(topic)
    await until(lambda: len(app.records) >= 4, app)
    await app.poll(300)
    assert [(r.partition, r.offset) for r in sorted(app.records)] == [(0, 7), (0, 8), (0, 9), (1, 9)]
    assert app.happened[0][0] == "assigned"
    await app.consumer.stop()


async def test_a_callback_may_ask_for_the_end_and_the_beginning(world):
    topic = await world.topic("ends")
    await world.send(*messages(topic, 10))
    a, b = TopicPartition(topic, 0), TopicPartition(topic, 1)
    app = await App(world, "g", starts={a: AT_END, b: AT_BEGINNING}).start(topic)
    await until(lambda: len(app.records) >= 5, app)
    await world.send(*messages(topic, 2, start=10))
    await until(lambda: len(app.records) >= 7, app)
    assert sorted((r.partition, r.offset) for r in app.records) == [(0, 5), *((1, n) for n in range(6))]
    await app.consumer.stop()


async def test_a_restarted_group_goes_on_at_the_committed_offset(world):
    topic = await world.topic("commit")
    await world.send(*messages(topic, 20))
    first = await App(world, "g").start(topic)
    await until(lambda: len(first.records) >= 20, first)
    await first.consumer.commit({TopicPartition(topic, 0): 4, TopicPartition(topic, 1): 10})
    await first.consumer.stop()
    second = await App(world, "g").start(topic)
    await until(lambda: len(second.records) >= 6, second)
    assert [(r.partition, r.offset) for r in second.records] == [(0, n) for n in range(4, 10)]
    await second.consumer.stop()


async def test_a_position_from_the_callback_wins_over_the_committed_offset(world):
    topic = await world.topic("wins", 1)
    await world.send(*messages(topic, 10, 1))
    first = await App(world, "g").start(topic)
    await until(lambda: len(first.records) >= 10, first)
    await first.consumer.commit({TopicPartition(topic, 0): 10})
    await first.consumer.stop()
    second = await App(world, "g", starts={TopicPartition(topic, 0): 3}).start(topic)
    await until(lambda: len(second.records) >= 7, second)
    assert [r.offset for r in second.records] == list(range(3, 10))
    await second.consumer.stop()


async def test_two_members_share_the_partitions_and_a_leaver_hands_his_over(world):
    topic = await world.topic("share", 4)
    first = await App(world, "g").start(topic)
    await until(lambda: len(first.held) == 4, first)
    second = await App(world, "g").start(topic)
    await until(lambda: len(first.held) == 2 and len(second.held) == 2, first, second)
    assert not first.held & second.held
    await world.send(*messages(topic, 40, 4))
    await until(lambda: len(first.records) + len(second.records) >= 40, first, second)
    assert sorted(map(int, first.values + second.values)) == list(range(40))
    await first.consumer.commit(dict.fromkeys(first.held, 10))
    await first.consumer.stop()
    await until(lambda: len(second.held) == 4, second)
    await second.consumer.stop()


async def test_a_member_gives_back_before_another_gets_the_partition(world):
    topic = await world.topic("handover", 2)
    order = []
    first, second = App(world, "g"), App(world, "g")

    async def slow(partitions):
        await asyncio.sleep(0.5)
        order.append("given back")
        await App._revoked(first, partitions)

    async def taken(partitions):
        order.append("taken")
        return await App._assigned(second, partitions)

    first._revoked, second._assigned = slow, taken
    await first.start(topic)
    await until(lambda: len(first.held) == 2, first)
    await second.start(topic)
    await until(lambda: len(second.held) == 1, first, second)
    assert order == ["given back", "taken"]
    await first.consumer.stop()
    await second.consumer.stop()


async def test_offsets_can_still_be_committed_while_partitions_are_taken_away(world):
    topic = await world.topic("last-commit", 2)
    await world.send(*messages(topic, 20))
    first, second = App(world, "g"), App(world, "g")

    async def commit_then_give_back(partitions):
        await first.consumer.commit(dict.fromkeys(partitions, 8))
        await App._revoked(first, partitions)

    first._revoked = commit_then_give_back
    await first.start(topic)
    await until(lambda: len(first.records) >= 20, first)
    await second.start(topic)
    await until(lambda: len(second.records) >= 2, first, second)
    assert [r.offset for r in second.records] == [8, 9]
    await first.consumer.stop()
    await second.consumer.stop()


async def test_a_static_member_that_is_back_in_time_keeps_its_partitions_and_nobody_else_is_disturbed(world):
    topic = await world.topic("static", 4)
    left, right = App(world, "g", "left"), App(world, "g", "right")
    await left.start(topic)
    await right.start(topic)
    await until(lambda: len(left.held) == 2 and len(right.held) == 2, left, right)
    had, happened = set(left.held), list(right.happened)
    await left.consumer.stop()
    again = await App(world, "g", "left").start(topic)
    await until(lambda: bool(again.held), again, right)
    assert again.held == had
    assert right.happened == happened
    await again.consumer.stop()
    await right.consumer.stop()


async def test_a_static_member_that_stays_away_loses_its_partitions_after_the_session_timeout(world):
    topic = await world.topic("away", 2)
    left, right = App(world, "g", "left"), App(world, "g", "right")
    await left.start(topic)
    await right.start(topic)
    await until(lambda: len(left.held) == 1 and len(right.held) == 1, left, right)
    await left.consumer.stop()
    loop = asyncio.get_running_loop()
    since = loop.time()
    await until(lambda: len(right.held) == 2, right)
    assert loop.time() - since > world.session_s * 0.5
    await right.consumer.stop()


async def test_commits_for_partitions_of_somebody_else_are_dropped(world):
    topic = await world.topic("stale", 2)
    first = await App(world, "g").start(topic)
    await until(lambda: len(first.held) == 2, first)
    second = await App(world, "g").start(topic)
    await until(lambda: len(first.held) == 1 and len(second.held) == 1, first, second)
    theirs = next(iter(second.held))
    await first.consumer.commit({theirs: 5})
    await first.consumer.stop()
    await second.consumer.stop()
    third = await App(world, "g").start(topic)
    await world.send(*messages(topic, 2))
    await until(lambda: len(third.records) == 2, third)
    assert sorted(r.offset for r in third.records) == [0, 0]
    await third.consumer.stop()


async def test_a_callback_that_fails_is_called_again_before_anything_is_delivered(world):
    topic = await world.topic("again", 1)
    await world.send(*messages(topic, 5, 1))
    app, failures = App(world, "g"), []

    async def fails_twice(partitions):
        if len(failures) < 2:
            failures.append(partitions)
            raise Unavailable("the checkpoints cannot be read")
        return await App._assigned(app, partitions)

    app._assigned = fails_twice
    await app.start(topic)
    raised = 0
    while len(app.records) < 5:
        try:
            await app.poll(500)
        except Unavailable:
            raised += 1
    assert raised == 2
    assert failures == [frozenset({TopicPartition(topic, 0)})] * 2
    assert [r.offset for r in app.records] == list(range(5))
    await app.consumer.stop()


async def test_a_rebalance_that_begins_inside_the_callback_takes_back_what_it_gave(world):
    topic = await world.topic("inside", 2)
    first, second = App(world, "g"), App(world, "g")
    entered = asyncio.Event()

    async def slow(partitions):
        entered.set()
        await asyncio.sleep(1.0)
        return await App._assigned(first, partitions)

    first._assigned = slow
    await first.start(topic)
    poll = asyncio.create_task(first.poll(3000))
    await asyncio.wait_for(entered.wait(), 10)
    await second.start(topic)
    await poll
    await until(lambda: len(first.held) == 1 and len(second.held) == 1, first, second)
    assert not first.held & second.held
    assert [kind for kind, _ in first.happened[:3]] == ["assigned", "revoked", "assigned"]
    await world.send(*messages(topic, 10))
    await until(lambda: len(first.records) + len(second.records) >= 10, first, second)
    assert sorted(map(int, first.values + second.values)) == list(range(10))
    await first.consumer.stop()
    await second.consumer.stop()


async def test_a_message_larger_than_one_fetch_is_read(world):
    topic = await world.topic("big", 1, max_message_bytes=6_000_000)
    await world.send(
        *(Produce(topic, 0, None, bytes([n]) * 3_000_000) for n in range(3)), Produce(topic, 0, None, b"x")
    )
    app = await App(world, "g").start(topic)
    await until(lambda: len(app.records) >= 4, app)
    assert [(len(r.value), r.value[:1]) for r in app.records] == [
        *((3_000_000, bytes([n])) for n in range(3)),
        (1, b"x"),
    ]
    await app.consumer.stop()


async def test_a_paused_partition_delivers_nothing_until_it_is_resumed(world):
    topic = await world.topic("pause", 2)
    app = await App(world, "g").start(topic)
    await until(lambda: len(app.held) == 2, app)
    app.consumer.pause(frozenset({TopicPartition(topic, 0)}))
    await world.send(*messages(topic, 10))
    await until(lambda: len(app.records) >= 5, app)
    await app.poll(300)
    assert {r.partition for r in app.records} == {1}
    app.consumer.resume(frozenset({TopicPartition(topic, 0)}))
    await until(lambda: len(app.records) >= 10, app)
    assert [r.offset for r in app.records if r.partition == 0] == list(range(5))
    await app.consumer.stop()


async def test_no_more_records_come_than_were_asked_for_and_none_is_skipped(world):
    topic = await world.topic("some", 2)
    await world.send(*messages(topic, 50))
    app = await App(world, "g").start(topic)
    while len(app.records) < 50:
        assert len(await app.poll(500, 7)) <= 7
    for partition in (0, 1):
        assert [r.offset for r in app.records if r.partition == partition] == list(range(25))
    await app.consumer.stop()


async def test_an_idle_poll_comes_back_empty_when_its_time_is_over(world):
    topic = await world.topic("idle")
    app = await App(world, "g").start(topic)
    await until(lambda: len(app.held) == 2, app)
    loop = asyncio.get_running_loop()
    since = loop.time()
    assert await app.consumer.getmany(10, 300) == []
    assert 0.25 < loop.time() - since < 1.0
    await app.consumer.stop()


async def test_a_waiting_poll_delivers_a_message_at_once(world):
    topic = await world.topic("prompt")
    app = await App(world, "g").start(topic)
    await until(lambda: len(app.held) == 2, app)
    poll = asyncio.create_task(app.consumer.getmany(10, 5000))
    await asyncio.sleep(0.1)
    loop = asyncio.get_running_loop()
    since = loop.time()
    await world.send(*messages(topic, 1))
    assert len(await poll) == 1
    assert loop.time() - since < 2
    await app.consumer.stop()


async def test_a_consumer_without_a_group_reads_what_it_names(world):
    topic = await world.topic("manual", 3)
    await world.send(*messages(topic, 30, 3))
    consumer = world.broker.consumer()
    await consumer.start()
    a, b, c = (TopicPartition(topic, p) for p in range(3))
    assert await consumer.end_offsets([a, b, c]) == {a: 10, b: 10, c: 10}
    assert await consumer.begin_offsets([a, b, c]) == {a: 0, b: 0, c: 0}
    await consumer.assign({a: AT_BEGINNING, b: 6, c: AT_END})
    got = []
    while len(got) < 14:
        got += await consumer.getmany(100, 500)
    await world.send(Produce(topic, 2, None, b"new"))
    while len(got) < 15:
        got += await consumer.getmany(100, 500)
    assert [r.offset for r in got if r.partition == 0] == list(range(10))
    assert [r.offset for r in got if r.partition == 1] == list(range(6, 10))
    assert [r.value for r in got if r.partition == 2] == [b"new"]
    await consumer.assign({b: 0})
    again = []
    while len(again) < 10:
        again += await consumer.getmany(100, 500)
    assert [(r.partition, r.offset) for r in again] == [(1, n) for n in range(10)]
    await consumer.stop()


@pytest.mark.outage
async def test_a_group_goes_on_after_the_death_of_the_broker(world):
    topic = await world.topic("revive")
    app = await App(world, "g", "member").start(topic)
    await world.send(*messages(topic, 10))
    await until(lambda: len(app.records) >= 10, app)
    world.break_down()
    await app.poll(300)
    await asyncio.to_thread(world.repair)
    await world.send(*messages(topic, 10, start=10))
    await until(lambda: set(map(int, app.values)) == set(range(20)), app)
    await app.consumer.stop()


@contextlib.asynccontextmanager
async def reading(world, positions, **how):
    """A consumer without a group."""
    consumer = world.broker.consumer(**how)
    await consumer.start()
    await consumer.assign(positions)
    yield consumer
    await consumer.stop()


async def take(consumer, count, timeout_s=60.0):
    """The next `count` records; fewer when no more come in time."""
    deadline = time.monotonic() + timeout_s
    records = []
    while len(records) < count and time.monotonic() < deadline:
        records += await consumer.getmany(count - len(records), 200)
    return records


async def abort(world, *messages):
    transaction = await world.transaction()
    await transaction.send(*messages)
    await transaction.abort()


async def test_what_an_aborted_transaction_wrote_is_never_delivered(world):
    topic = await world.topic("aborted", 1)
    await abort(world, *messages(topic, 3, 1))
    await world.send(*messages(topic, 2, 1, start=3))
    await abort(world, *messages(topic, 3, 1, start=5))
    app = await App(world, "g").start(topic)
    await until(lambda: len(app.records) == 2, app)
    await until(lambda: app.consumer.position(TopicPartition(topic, 0)) == 10, app)
    assert [(r.offset, r.value) for r in app.records] == [(4, b"3"), (5, b"4")]
    await app.consumer.stop()


async def test_nothing_behind_an_open_transaction_is_delivered_before_it_ends(world):
    topic = await world.topic("open", 1)
    where = TopicPartition(topic, 0)
    await world.send(*messages(topic, 2, 1))
    transaction = await world.transaction()
    await transaction.send(*messages(topic, 2, 1, start=2))
    await world.send(*messages(topic, 2, 1, start=4))
    async with reading(world, {where: AT_BEGINNING}) as consumer, reading(world, {where: AT_END}) as tail:
        assert await consumer.end_offsets([where]) == {where: 2}
        assert [r.value for r in await take(consumer, 6, 1)] == [b"0", b"1"]
        assert consumer.position(where) == 2
        await transaction.commit()
        assert [r.value for r in await take(consumer, 4)] == [b"2", b"3", b"4", b"5"]
        assert [r.value for r in await take(tail, 4)] == [b"2", b"3", b"4", b"5"]
        assert await consumer.end_offsets([where]) == {where: 7}
        await until_position(consumer, where, 7)


async def test_an_open_and_an_aborted_transaction_at_the_head_leave_the_position_at_the_end(world):
    topic = await world.topic("head", 1)
    where = TopicPartition(topic, 0)
    await world.send(*messages(topic, 2, 1))
    await abort(world, *messages(topic, 3, 1, start=2))
    transaction = await world.transaction()
    await transaction.send(*messages(topic, 3, 1, start=5))
    async with reading(world, {where: AT_BEGINNING}) as consumer:
        assert await consumer.end_offsets([where]) == {where: 6}
        assert [r.value for r in await take(consumer, 3, 1)] == [b"0", b"1"]
        await until_position(consumer, where, 6)
        await transaction.abort()
        await until_position(consumer, where, 10)
        await world.send(*messages(topic, 1, 1, start=8))
        assert [(r.offset, r.value) for r in await take(consumer, 1)] == [(10, b"8")]


async def until_position(consumer, where, position, timeout_s=60.0):
    """Poll until everything up to `position` has been passed over; nothing may come meanwhile."""
    deadline = time.monotonic() + timeout_s
    while consumer.position(where) != position:
        assert time.monotonic() < deadline, f"still at {consumer.position(where)}"
        assert await consumer.getmany(10, 200) == []


async def test_the_position_is_after_what_was_delivered_however_much_was_fetched(world):
    topic = await world.topic("position", 2)
    a, b = TopicPartition(topic, 0), TopicPartition(topic, 1)
    await world.send(*messages(topic, 40))
    async with reading(world, {a: 5, b: AT_END}) as consumer:
        assert (consumer.position(a), consumer.position(b)) == (5, 20)
        for expected in (8, 11, 14):
            await take(consumer, 3)
            assert consumer.position(a) == expected
        with pytest.raises(KeyError):
            consumer.position(TopicPartition(topic, 7))


async def test_a_position_before_the_beginning_is_refused_naming_what_is_there(world):
    topic = await world.topic("gone", 2)
    a, b = TopicPartition(topic, 0), TopicPartition(topic, 1)
    await world.send(*messages(topic, 20))
    await world.broker.delete_before({a: 6})
    async with reading(world, {a: 5, b: 0}) as consumer:
        records, raised = [], []
        for _ in range(40):
            try:
                records += await consumer.getmany(3, 200)
            except OffsetsGone as error:
                raised.append(error)
                if len(raised) > 1 and len(records) == 10:
                    break
        assert {(e.topic, e.partition, e.wanted, e.first, e.end) for e in raised} == {(topic, 0, 5, 6, 10)}
        assert len(raised) > 1, "it is not silently skipped the second time"
        assert [r.partition for r in records] == [1] * 10, "the other partition is read on"
        assert consumer.position(a) == 5
        consumer.pause(frozenset({a}))
        assert await consumer.getmany(10, 500) == []
        await consumer.assign({a: 6})
        assert [r.offset for r in await take(consumer, 4)] == [6, 7, 8, 9]


async def test_a_position_after_the_end_is_refused(world):
    topic = await world.topic("beyond", 1)
    where = TopicPartition(topic, 0)
    await world.send(*messages(topic, 3, 1))
    async with reading(world, {where: 4}) as consumer:
        with pytest.raises(OffsetsGone, match=f"{topic} partition 0: offset 4 is gone, the log holds 0 to 3"):
            await take(consumer, 1)
    async with reading(world, {where: 3}) as consumer:
        assert await consumer.getmany(10, 300) == []


async def test_a_reader_that_the_trim_overtakes_is_told(world):
    topic = await world.topic("overtaken", 1)
    where = TopicPartition(topic, 0)
    await world.send(*messages(topic, 3, 1))
    async with reading(world, {where: AT_BEGINNING}) as consumer:
        assert len(await take(consumer, 3)) == 3
        await world.broker.delete_before({where: 3})
        consumer.pause(frozenset({where}))
        await world.send(*messages(topic, 5, 1))
        await world.broker.delete_before({where: 5})
        consumer.resume(frozenset({where}))
        with pytest.raises(OffsetsGone, match="offset 3 is gone, the log holds 5 to 8"):
            await take(consumer, 1)


async def test_who_is_told_that_its_offset_is_gone_may_go_on_at_another_one(world):
    topic = await world.topic("seek", 1)
    where = TopicPartition(topic, 0)
    await world.send(*messages(topic, 20, 1))
    await world.broker.delete_before({where: 5})
    consumer = world.broker.consumer()
    await consumer.start()
    await consumer.assign({where: 2})
    with pytest.raises(OffsetsGone) as gone:
        await consumer.getmany(100, 5000)
    consumer.seek(where, gone.value.first)
    records = []
    while len(records) < 15:
        records += await consumer.getmany(100, 1000)
    assert [record.offset for record in records] == list(range(5, 20))
    consumer.seek(where, 18)
    assert consumer.position(where) == 18
    assert [record.offset for record in await consumer.getmany(100, 5000)] == [18, 19]
    with pytest.raises(KeyError):
        consumer.seek(TopicPartition(topic, 7), 0)
    await consumer.stop()


async def test_a_member_whose_offset_is_gone_goes_on_where_it_seeks_to(world):
    topic = await world.topic("seekgroup", 1)
    where = TopicPartition(topic, 0)
    await world.send(*messages(topic, 10, 1))
    app = await App(world, "g", starts={where: 99}).start(topic)
    with pytest.raises(OffsetsGone) as gone:  # noqa: PT012 - it is told at the first poll behind the assignment
        while True:
            await app.poll(1000)
    assert gone.value.end == 10
    app.consumer.seek(where, gone.value.first)
    await until(lambda: len(app.records) >= 10, app)
    assert [record.offset for record in app.records] == list(range(10))
    await app.consumer.stop()


async def test_who_reads_from_the_beginning_is_not_held_to_where_it_was(world):
    topic = await world.topic("moving", 1)
    where = TopicPartition(topic, 0)
    await world.send(*messages(topic, 10, 1))
    await world.broker.delete_before({where: 2})
    async with reading(world, {where: AT_BEGINNING}) as consumer:
        consumer.pause(frozenset({where}))
        await world.broker.delete_before({where: 7})
        consumer.resume(frozenset({where}))
        assert [r.offset for r in await take(consumer, 3)] == [7, 8, 9]


async def test_a_group_whose_committed_offset_is_gone_is_told(world):
    topic = await world.topic("committed-gone", 1)
    where = TopicPartition(topic, 0)
    await world.send(*messages(topic, 10, 1))
    first = await App(world, "g").start(topic)
    await until(lambda: len(first.records) >= 10, first)
    await first.consumer.commit({where: 4})
    await first.consumer.stop()
    await world.broker.delete_before({where: 6})
    second = await App(world, "g").start(topic)
    with pytest.raises(OffsetsGone, match="offset 4 is gone, the log holds 6 to 10"):
        await until(lambda: second.records, second)
    assert second.held == {where}, "it keeps its partition"
    await second.consumer.stop()


async def test_a_member_whose_own_position_is_gone_is_told(world):
    topic = await world.topic("own-gone", 1)
    where = TopicPartition(topic, 0)
    await world.send(*messages(topic, 10, 1))
    await world.broker.delete_before({where: 6})
    app = await App(world, "g", starts={where: 5}).start(topic)
    with pytest.raises(OffsetsGone, match="offset 5 is gone, the log holds 6 to 10"):
        await until(lambda: app.records, app)
    app.consumer.pause(frozenset({where}))
    await app.poll(300)
    await app.consumer.stop()


async def test_a_poll_that_is_cancelled_loses_nothing(world):
    topic = await world.topic("cancelled", 1)
    async with reading(world, {TopicPartition(topic, 0): 0}) as consumer:
        records = []
        for number in range(30):
            poll = asyncio.create_task(consumer.getmany(10, 1000))
            await world.send(*messages(topic, 1, 1, start=number))
            await asyncio.sleep(number % 3 * 0.001)
            poll.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                records += await poll
        records += await take(consumer, 30 - len(records))
        assert [int(r.value) for r in records] == list(range(30))


@pytest.mark.kafka
async def test_a_poll_that_is_cancelled_in_the_moment_its_records_come_loses_nothing(kafka_world):
    topic = await kafka_world.topic("moment", 1)
    async with reading(kafka_world, {TopicPartition(topic, 0): 0}) as consumer:
        poll = asyncio.create_task(consumer.getmany(10, 10_000))
        await asyncio.sleep(0.1)
        (fetch,) = [t for t in asyncio.all_tasks() if t.get_coro().__qualname__ == "AIOKafkaConsumer.getmany"]
        fetch.add_done_callback(lambda _: poll.cancel())
        await kafka_world.send(*messages(topic, 3, 1))
        with pytest.raises(asyncio.CancelledError):
            await poll
        assert len(fetch.result()) == 1
        assert [r.offset for r in await take(consumer, 3)] == [0, 1, 2]


@pytest.mark.kafka
async def test_a_connection_that_is_opened_anew_goes_on_with_positions_and_pauses(kafka_world):
    topic = await kafka_world.topic("anew", 3)
    a, b, c = (TopicPartition(topic, p) for p in range(3))
    await kafka_world.send(*messages(topic, 9, 3))
    await abort(kafka_world, Produce(topic, 2, None, b"never"))
    async with reading(kafka_world, {a: 0, b: 3, c: 0}) as consumer:
        assert len(await take(consumer, 6)) == 6
        await until_position(consumer, c, 5)
        consumer.pause(frozenset({b}))
        await consumer._close()  # as after an error of aiokafka, none of which can be made here
        assert [consumer.position(where) for where in (a, b, c)] == [3, 3, 5]
        await kafka_world.send(*messages(topic, 3, 3))
        assert [(r.partition, r.offset) for r in sorted(await take(consumer, 3, 2))] == [(0, 3), (2, 5)]
        consumer.resume(frozenset({b}))
        assert [(r.partition, r.offset) for r in await take(consumer, 1)] == [(1, 3)]


@pytest.mark.outage
async def test_a_reader_without_a_group_goes_on_where_it_was_after_the_death_of_the_broker(world):
    topic = await world.topic("on", 2)
    a, b = TopicPartition(topic, 0), TopicPartition(topic, 1)
    await world.send(*messages(topic, 20))
    async with reading(world, {a: AT_BEGINNING, b: 4}) as consumer:
        records = await take(consumer, 16)
        world.break_down()
        with contextlib.suppress(Unavailable):
            await consumer.getmany(10, 300)
        await asyncio.to_thread(world.repair)
        await world.send(*messages(topic, 6, start=20))
        deadline = time.monotonic() + 30
        while len(records) < 22 and time.monotonic() < deadline:
            with contextlib.suppress(Unavailable):
                records += await consumer.getmany(10, 300)
        assert sorted(r.offset for r in records if r.partition == 0) == list(range(13))
        assert sorted(r.offset for r in records if r.partition == 1) == list(range(4, 13))


async def test_append_times_are_the_brokers(world):
    topic = await world.topic("times", 1, config=LOG_APPEND_TIME)
    world.append_time.add(topic)
    before_ms = time.time_ns() // 1_000_000
    await world.send(*messages(topic, 3, 1))
    after_ms = time.time_ns() // 1_000_000
    async with reading(world, {TopicPartition(topic, 0): 0}) as consumer:
        for record in await take(consumer, 3):
            assert before_ms <= record.append_ms <= after_ms


async def test_a_topic_that_must_bear_append_times_and_does_not_is_refused_at_its_first_record(world):
    topic = await world.topic("writers-time", 1)
    world.append_time.add(topic)
    where = TopicPartition(topic, 0)
    async with reading(world, {where: 0}) as consumer:
        assert await consumer.getmany(10, 200) == []
        await world.send(*messages(topic, 3, 1))
        for _ in range(2):
            with pytest.raises(SettingsError, match=f"{topic} .*message.timestamp.type=LogAppendTime"):
                await take(consumer, 1)
    app = await App(world, "g").start(topic)
    with pytest.raises(SettingsError, match=topic):
        await until(lambda: app.records, app)
    await app.consumer.stop()
    async with reading(world, {where: 0}, allow_create_time=True) as mirror:
        assert [r.value for r in await take(mirror, 3)] == [b"0", b"1", b"2"]


def test_raw_must_bear_append_times():
    assert RAW.append_time
    assert frozenset({RAW.name}) == APPEND_TIME


async def test_a_compressed_message_above_its_topics_limit_arrives_whole_and_has_a_small_letter(world):
    topic = await world.topic("compressed", 1, max_message_bytes=1 << 20)
    value = b'{"a":[' + b"0," * 1_500_000 + b"0]}"
    await world.send_compressed(Produce(topic, 0, b"k", value))
    await world.send(Produce(topic, 0, b"k", b"after"))
    async with reading(world, {TopicPartition(topic, 0): 0}) as consumer:
        records = await take(consumer, 2)
    assert [r.value for r in records] == [value, b"after"]
    await world.broker.create_topics([DLQ], 3)
    await world.send(dead_letter("normalize", records[0], DeadLetterError("too_large", "3 MB")))
    assert f"{topic}:0:0".encode() in [letter.key for letter in await world.read(DLQ.name)]
