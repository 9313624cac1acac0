"""What every broker promises to who reads."""

import asyncio

from m0common.errors import Unavailable
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Produce


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


async def until(condition, *apps, timeout_s=15.0):
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
    await consumer.assign({a: -2, b: 6, c: -1})
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


async def test_a_group_goes_on_after_the_death_of_the_broker(world):
    topic = await world.topic("revive")
    app = await App(world, "g", "member").start(topic)
    await world.send(*messages(topic, 10))
    await until(lambda: len(app.records) >= 10, app)
    world.break_down()
    await app.poll(300)
    await asyncio.to_thread(world.repair)
    await world.send(*messages(topic, 10, start=10))
    await until(lambda: set(map(int, app.values)) == set(range(20)), app, timeout_s=30)
    await app.consumer.stop()
