"""What the stage loop promises, on every broker."""

import asyncio
import random

import msgspec
import pytest
from m0common.errors import LaneHole
from m0common.messages import Checkpoint, LaneMessage
from m0common.stream.checkpoints import load_latest
from m0common.stream.lanes import BEFORE_FIRST_EPOCH
from m0common.stream.records import Produce
from stream_toy import ZERO, Adder, Interceptor, Killed, Toy, eventually, marker, number, positions, running

NEW_RELEASE = bytes([1]) * 32


async def run_until_done(toy, loop):
    ends = await toy.ends()
    async with running(loop):
        await eventually(lambda: toy.seen_all(loop, ends))


async def test_the_loop_writes_exactly_what_the_core_says(world):
    toy = await Toy(world).create()
    await toy.feed_epochs(range(4))
    await run_until_done(toy, toy.loop())
    await toy.check(repeats=False)


async def test_headers_of_the_cause_travel_with_the_outputs(world):
    toy = await Toy(world).create()
    await toy.feed(number(1))
    await run_until_done(toy, toy.loop())
    assert {r.headers for r in await toy.written()} == {(("origin", b"test"),)}


async def test_a_clean_stop_after_a_marker_repeats_nothing(world):
    toy = await Toy(world).create()
    await toy.feed_epochs(range(2))
    await run_until_done(toy, toy.loop())
    await toy.feed_epochs(range(2, 4))
    await run_until_done(toy, toy.loop())
    await toy.check(repeats=False)


async def test_a_restart_inside_an_epoch_repeats_the_same_bytes_from_the_checkpoint(world):
    toy = await Toy(world).create()
    await toy.feed_epochs(range(2))
    await toy.feed(number(5), number(6))
    await run_until_done(toy, toy.loop())
    await toy.feed(number(7), marker(2))
    await run_until_done(toy, toy.loop())
    await toy.check(repeats=True)
    written = [r for r in await toy.written() if r.partition == 0]
    # the two numbers of the open epoch, two outputs each, and nothing before their checkpoint
    assert len(written) - len({r.value for r in written}) == 4


async def test_a_stage_without_checkpoints_starts_at_the_beginning_whatever_is_committed(world):
    toy = await Toy(world).create()
    await toy.feed(number(1), number(2))

    class NoBirth(type(toy.core())):
        def feed(self, record):
            return [output for output in super().feed(record) if isinstance(output, Produce)]

    core = NoBirth("toy", toy.stage, toy.source, toy.sink, Adder, bytes(32))
    await run_until_done(toy, toy.loop(core=core))
    await toy.feed(number(3))
    await run_until_done(toy, toy.loop())
    await toy.check(repeats=True)


async def test_a_young_lane_beside_an_old_one_is_not_lost_by_a_restart(world):
    toy = await Toy(world).create()
    await toy.feed(number(1), catalog="young")
    await toy.feed_epochs(range(3), catalogs=("old",), partitions=(0,))
    await run_until_done(toy, toy.loop())
    await toy.feed(number(2), marker(3), catalog="young")
    await run_until_done(toy, toy.loop())
    await toy.check()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_kill_around_any_write_or_commit_loses_nothing_and_repeats_the_same_bytes(world, after):
    for write in range(9) if world.kind == "memory" else (1, 4):
        toy = await Toy(world.again()).create(1)
        await toy.feed_epochs(range(3), per_epoch=4, partitions=(0,))
        with pytest.raises(Killed):
            await toy.loop(broker=Interceptor(world.broker, write, after=after)).run()
        await run_until_done(toy, toy.loop())
        await toy.check()


async def test_a_stage_killed_again_and_again_still_gets_through(world):
    toy = await Toy(world).create(1)
    await toy.feed_epochs(range(6), per_epoch=6, partitions=(0,))
    for write in (3, 2, 4, 3, 5) if world.kind == "memory" else (3, 4):
        with pytest.raises(Killed):
            await toy.loop(broker=Interceptor(world.broker, write)).run()
    await run_until_done(toy, toy.loop())
    await toy.check()


async def test_a_cancelled_batch_commits_nothing(world):
    toy = await Toy(world).create(1)
    await toy.feed_epochs(range(2), partitions=(0,))
    watched = Interceptor(world.broker)
    blocked = asyncio.Event()

    async def hang(kind, what, operation):
        blocked.set()
        await asyncio.Event().wait()

    watched.call = hang
    task = asyncio.create_task(toy.loop(broker=watched).run())
    await asyncio.wait_for(blocked.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watched.calls == []
    assert await load_latest(world.broker, toy.stage, [0]) == []
    await run_until_done(toy, toy.loop())
    await toy.check(repeats=False)


async def test_a_zombie_twin_only_repeats(world):
    toy = await Toy(world).create()
    await toy.feed_epochs(range(3))
    ends = await toy.ends()
    # a zombie is a process that does not know that its partitions belong to another one: here by a group of its own
    one, two = toy.loop(member="one"), toy.loop(member="two", group=world.name("zombie"))
    async with running(one, two):
        await eventually(lambda: toy.seen_all(one, ends) and toy.seen_all(two, ends))
        await toy.feed_epochs(range(3, 5))
        ends = await toy.ends()
        await eventually(lambda: toy.seen_all(one, ends) and toy.seen_all(two, ends))
    await toy.check(repeats=True)
    await toy.feed(number(1))
    await run_until_done(toy, toy.loop())
    await toy.check()


async def test_checkpoints_and_offsets_never_run_ahead_of_the_outputs(world):
    toy = await Toy(world).create(1)
    await toy.feed_epochs(range(4), partitions=(0,))
    watched = Interceptor(world.broker)
    await run_until_done(toy, toy.loop(broker=watched))
    written, input_seen, kinds = {}, 0, set()
    by_offset = {r.offset: r for r in await world.read(toy.source)}
    for kind, what in watched.calls:
        kinds.add(kind)
        if kind == "output":
            for message in what:
                lane = msgspec.msgpack.decode(message.value, type=LaneMessage)
                written[lane.catalog] = lane.seq
        elif kind == "checkpoint":
            for message in what:
                checkpoint = msgspec.msgpack.decode(message.value, type=Checkpoint)
                assert checkpoint.out_seq <= written.get(checkpoint.catalog, 0)
        else:
            input_seen = max(input_seen, *what.values())
            for offset in range(input_seen):
                lane = msgspec.msgpack.decode(by_offset[offset].value, type=LaneMessage)
                assert written[lane.catalog] >= 2 * lane.seq - (lane.seq // 11 + 1)
    assert kinds == {"output", "checkpoint", "commit"}
    assert input_seen == len(by_offset)


async def test_every_marker_leaves_a_checkpoint_and_the_latest_is_what_a_restart_loads(world):
    toy = await Toy(world).create()
    await toy.feed_epochs(range(3))
    await run_until_done(toy, toy.loop())
    found = {(c.catalog, c.partition, c.epoch_id): c for c in await toy.checkpoints()}
    assert found.keys() == {(c, p, e) for c in "ab" for p in (0, 1) for e in (BEFORE_FIRST_EPOCH, 0, 1, 2)}
    latest = await load_latest(world.broker, toy.stage, [0])
    assert latest == [found["a", 0, 2], found["b", 0, 2]]


@pytest.mark.parametrize("work_after_marker", [False, True])
async def test_a_planned_stop_hands_over_between_epochs_and_work_begun_under_another_release_is_told(
    world, work_after_marker
):
    toy = await Toy(world).create(1)
    await toy.feed(number(1), marker(0), *[number(2)] * work_after_marker)
    await run_until_done(toy, toy.loop())
    (latest,) = await load_latest(world.broker, toy.stage, [0])
    assert (latest.epoch_id, latest.planned) == (0, not work_after_marker)
    await toy.feed(number(3), marker(1), number(4), marker(2))
    await run_until_done(toy, toy.loop(core=toy.core(release=NEW_RELEASE)))
    mixed = (ZERO, NEW_RELEASE) if work_after_marker else (NEW_RELEASE,)
    assert [m.releases for m in await toy.markers()] == [(ZERO,), mixed, (NEW_RELEASE,)]


async def test_after_a_kill_between_epochs_another_release_cannot_know_and_names_both(world):
    toy = await Toy(world).create(1)
    await toy.feed(number(1), marker(0))
    task = asyncio.create_task(toy.loop(commit_interval_ms=0).run())
    await eventually(lambda: _saved(toy, 0))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await toy.feed(number(2), marker(1))
    await run_until_done(toy, toy.loop(core=toy.core(release=NEW_RELEASE)))
    assert [m.releases for m in await toy.markers()] == [(ZERO,), (ZERO, NEW_RELEASE)]


async def _saved(toy, epoch):
    return any(c.epoch_id == epoch for c in await toy.checkpoints())


async def test_what_cannot_be_processed_becomes_one_dead_letter_with_its_origin(world):
    toy = await Toy(world).create(1)
    await toy.feed(number(1), number("bad"), number(2))
    await world.send(Produce(toy.source, 0, b"key", b"not a lane message"))
    await toy.feed(number(3), marker(0))
    loop = toy.loop()
    await run_until_done(toy, loop)
    letters = await toy.letters()
    assert [(x.partition, x.offset, x.error, x.stage) for x in letters] == [
        (0, 1, "bad_number", world.name("toy")),
        (0, 3, "not_a_lane_message", world.name("toy")),
    ]
    assert letters[1].key == b"key"
    assert letters[1].value == b"not a lane message"
    assert letters[0].reason
    await toy.check(repeats=False)


async def test_too_many_dead_letters_stop_the_stage_and_keep_the_rest(world):
    toy = await Toy(world).create(1)
    await toy.feed(number(1), marker(0), *[number("bad")] * 150, number(2))
    loop = toy.loop()
    async with running(loop):
        await eventually(lambda: "has stopped" in (loop.ready() or ""))
        assert loop.healthy() is None
        await asyncio.sleep(0.3)
    letters = await toy.letters()
    assert len(letters) == 100
    assert [x.offset for x in letters] == list(range(2, 102))

    class Repaired(Adder):
        def step(self, body):
            return super().step(number(0) if getattr(body, "market_id", "") == "bad" else body)

    ends = await toy.ends()
    again = toy.loop(core=toy.core(Repaired))
    async with running(again):
        await eventually(lambda: toy.seen_all(again, ends))
    assert len(await toy.letters()) == 100
    seqs = {msgspec.msgpack.decode(r.value, type=LaneMessage).seq for r in await toy.written()}
    # 1 number, 1 marker, 150 numbers that are readable now, 1 number
    assert seqs == set(range(1, 2 + 1 + 300 + 2 + 1))


async def test_a_hole_in_a_lane_stops_the_stage_after_writing_what_came_before(world):
    toy = await Toy(world).create(1)
    await toy.feed(number(1), number(2))
    await world.send(toy.message("a", 0, number(9), seq=7))
    loop = toy.loop()
    with pytest.raises(LaneHole, match="expects seq 3 and got 7"):
        await asyncio.wait_for(loop.run(), 30)
    assert "expects seq 3" in loop.ready()
    assert len(await toy.written()) == 4


async def test_a_mistake_in_a_transition_stops_the_stage_after_writing_what_came_before(world):
    toy = await Toy(world).create(1)
    await toy.feed(number(1), number("bug"))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(toy.loop().run(), 30)
    assert len(await toy.written()) == 2
    assert await toy.letters() == []


async def test_a_stop_waits_for_a_marker_that_is_due_and_then_nothing_is_repeated(world):
    toy = await Toy(world).create(1)
    loop = toy.loop(drain_grace_ms=8000)
    async with running(loop):
        for epoch in range(2):
            await toy.feed(number(1), marker(epoch))
            ends = await toy.ends()
            await eventually(lambda ends=ends: toy.seen_all(loop, ends))
        await toy.feed(number(2))
        ends = await toy.ends()
        await eventually(lambda: toy.seen_all(loop, ends))
        loop.stop()
        await asyncio.sleep(0.2)
        await toy.feed(number(3), marker(2), number(4), number(5))
    latest = await load_latest(world.broker, toy.stage, [0])
    assert latest[0].epoch_id == 2
    assert latest[0].out_seq == len(await toy.written()) == 11
    await run_until_done(toy, toy.loop())
    await toy.check(repeats=False)


async def test_a_stop_with_no_marker_due_does_not_wait(world):
    toy = await Toy(world).create(1)
    await toy.feed(number(1))
    loop = toy.loop(drain_grace_ms=10_000)
    ends = await toy.ends()
    async with running(loop):
        await eventually(lambda: toy.seen_all(loop, ends))
        since = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - since < 5


async def test_a_lane_moves_to_another_process_with_its_state(world):
    toy = await Toy(world).create(4)
    await toy.feed_epochs(range(2), partitions=range(4))
    core = toy.core()
    one, two = toy.loop(member="one", core=core), toy.loop(member="two")
    async with running(one):
        ends = await toy.ends()
        await eventually(lambda: toy.seen_all(one, ends))
        async with running(two):
            await eventually(lambda: len(one._positions) == 2 and len(two._positions) == 2)
            await toy.feed_epochs(range(2, 4), partitions=range(4))
            ends = await toy.ends()
            await eventually(lambda: all(positions(one, two).get(p, 0) >= end for p, end in ends.items()))
            assert not one._positions.keys() & two._positions.keys()
            assert {slot.lane.partition for slot in core._lanes.slots.values()} == positions(one).keys(), (
                "lanes of others are kept"
            )
        await toy.feed_epochs(range(4, 5), partitions=range(4))
        ends = await toy.ends()
        await eventually(lambda: toy.seen_all(one, ends))
    await toy.check()


async def test_a_broker_outage_makes_the_stage_unready_and_loses_nothing(world):
    toy = await Toy(world).create()
    loop = toy.loop()
    async with running(loop):
        await toy.feed_epochs(range(2))
        ends = await toy.ends()
        await eventually(lambda: toy.seen_all(loop, ends))
        assert loop.ready() is None
        world.break_down()
        await eventually(lambda: loop.ready() is not None, 30)
        assert loop.healthy() is None
        await asyncio.to_thread(world.repair)
        await toy.feed_epochs(range(2, 4))
        ends = await toy.ends()
        await eventually(lambda: toy.seen_all(loop, ends) and loop.ready() is None, 40)
    await toy.check()


async def test_a_stage_that_starts_during_an_outage_waits_for_the_broker(world):
    toy = await Toy(world).create()
    await toy.feed_epochs(range(2))
    ends = await toy.ends()
    world.break_down()
    loop = toy.loop()
    async with running(loop):
        await asyncio.sleep(1)
        assert loop.ready() is not None
        await asyncio.to_thread(world.repair)
        await eventually(lambda: toy.seen_all(loop, ends), 40)
    await toy.check(repeats=False)


async def test_members_that_come_go_and_die_at_random_lose_nothing(world):
    rng = random.Random(11)
    toy = await Toy(world, batch_records=20, drain_grace_ms=50).create(4)
    members = {}
    for epoch in range(25 if world.kind == "memory" else 9):
        name = rng.choice(["one", "two", "three"])
        if name not in members:
            loop = toy.loop(member=name)
            members[name] = (loop, asyncio.create_task(loop.run()))
        elif rng.random() < 0.5:
            members.pop(name)[0].stop()
        else:
            members.pop(name)[1].cancel()
        await toy.feed_epochs([epoch], per_epoch=rng.randint(0, 30), partitions=range(4))
        await asyncio.sleep(rng.uniform(0, 0.3 if world.kind == "memory" else 1.0))
    if not members:
        loop = toy.loop(member="last")
        members["last"] = (loop, asyncio.create_task(loop.run()))
    await eventually(toy.complete, 60)
    for loop, task in members.values():
        loop.stop()
        await asyncio.wait_for(task, 20)
    await toy.check()
