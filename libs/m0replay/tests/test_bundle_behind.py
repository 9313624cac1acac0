"""The bundle stage made from a header: it goes on as the one does that closed the epoch."""

from functools import partial

import lanes_world as world
import pytest
from m0common.ids import Lane
from m0common.stream.core import Produce
from m0common.stream.partition import partition_for
from m0common.stream.restored import Restored
from m0common.topics import HEADERS, PREDICTIONS
from m0lanes import tags
from m0lanes.bundle_state import BundleState
from m0lanes.entities import Entities, entity_key
from m0replay.bundle_behind import Unreadable, bundle_state, turn_behind
from m0replay.headers import header_of
from m0replay.states import ended_before, published
from recorded_world import Recorded
from unread_world import A, B, C, Gaps, at_random

PARTITION = partition_for(b"coins", world.PARTITIONS)


async def behind(log: Recorded, header) -> Restored:
    """The stage as a signer begins that has no state of its own."""
    states = list((await published(log.broker, header)).states)
    for partition in sorted(set(range(world.PARTITIONS)) - {lane.partition for lane in header.lanes}):
        states += await ended_before(log.broker, Lane("coins", partition), header.epoch_id)
    return bundle_state(log.heart, header, states, turn_behind(header, states))


def closes(log: Recorded, begun: Restored) -> dict[int, bytes]:
    """What it closes of what the lanes have said."""
    core, found, records = log.heart.bundle(), {}, log.broker.log(PREDICTIONS.name, PARTITION)
    core.resume(PARTITION, [begun], 0, len(records))

    def take(outputs, upto):
        for output in outputs:
            if isinstance(output, Produce) and output.topic == HEADERS.name:
                header = header_of(output)
                found[header.epoch_id] = header.header
            elif hasattr(output, "offset"):
                for record in records[output.offset : upto]:
                    take(core.feed(record, output.lane), upto)
                core.join(output.lane)

    for record in records:
        take(core.feed(record), record.offset + 1)
    return found


async def course(name: str, *, anew: bool) -> Gaps:
    match name:
        case "moved":
            made = Gaps(B)
            await made.end(2)
            await made.loses(B, partial(made.to, C), partial(made.end, 2))
        case "ended before":
            made = Gaps(A, B)
            await made.to(B)
            await made.end()
            await made.loses(B, made.end, partial(made.to, C), made.end)
        case "one of two":
            made = Gaps(A, B)
            await made.end(2)
            await made.loses(B, partial(made.end, 2), partial(made.to, B, C))
        case _:
            made = Gaps(B)
            await made.end(2)
            await made.loses(B, partial(made.to, C), partial(made.end, 2))
            await made.repair(B, from_beginning=anew)
            await made.end(2)
            await made.loses(C, partial(made.to, B), partial(made.end, 2), partial(made.to, A, B, C))
            await made.repair(C, from_beginning=anew)
            await made.end(2)
            return made
    await made.repair(B, from_beginning=anew)
    await made.end(3)
    return made


@pytest.mark.parametrize("anew", [False, True], ids=["from a marker", "anew"])
@pytest.mark.parametrize("name", ["moved", "ended before", "one of two", "twice"])
async def test_behind_each_header_it_closes_what_live_closed_also_across_gaps(name: str, anew: bool):
    log = (await course(name, anew=anew)).recorded
    live = log.headers()
    assert max(live) - min(live) >= len(live), "a gap has lost some"
    for epoch_id, header in live.items():
        expected = {epoch: message.header for epoch, message in live.items() if epoch > epoch_id}
        assert closes(log, await behind(log, header)) == expected, epoch_id - world.FIRST


@pytest.mark.parametrize("seed", range(40 if world.SOAK else 4))
async def test_behind_each_header_it_closes_what_live_closed_whatever_gaps_have_swallowed(seed: int):
    log = (await at_random(seed)).recorded
    live = log.headers()
    for epoch_id, header in live.items():
        expected = {epoch: message.header for epoch, message in live.items() if epoch > epoch_id}
        assert closes(log, await behind(log, header)) == expected, epoch_id - world.FIRST


async def generations() -> Gaps:
    made = Gaps(A)
    await made.end()
    await made.to(A, B)
    await made.end()
    await made.to(B)
    await made.end()
    return made


async def test_it_knows_the_generation_that_the_marker_put_in_force():
    log = (await generations()).recorded
    in_force = {}
    for epoch_id, header in log.headers().items():
        restored = await behind(log, header)
        made = BundleState("coins", Entities(restored.entities.items()), world.DEPLOYMENT.control_key)
        assert made.last_epoch == epoch_id
        in_force[epoch_id - world.FIRST] = made.generation
    assert in_force == {0: 1, 1: 2, 2: 2, 3: 3, 4: 3}


@pytest.mark.parametrize("left", [{}, {entity_key(tags.LANE): b"of another release"}])
async def test_where_no_lane_can_be_read_here_nobody_guesses_what_follows(left):
    log = (await generations()).recorded
    for epoch_id, header in log.headers().items():
        states = [
            Restored(found.manifest, left) if found.manifest.stage == 1 else found
            for found in (await published(log.broker, header)).states
        ]
        with pytest.raises(Unreadable, match=f"at epoch {epoch_id} that can .* {world.COINS_RELEASE.hex()}"):
            turn_behind(header, states)


async def test_one_lane_that_can_be_read_is_enough():
    log = (await generations()).recorded
    header = log.headers()[world.FIRST + 3]
    assert [lane.partition for lane in header.lanes] == [A, B]
    states = list((await published(log.broker, header)).states)
    unread = [Restored(s.manifest, {}) if (s.manifest.stage, s.manifest.partition) == (1, A) else s for s in states]
    assert turn_behind(header, unread) == turn_behind(header, states) == (3, (B,))
