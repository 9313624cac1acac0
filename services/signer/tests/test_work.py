"""What goes between the desk and a worker comes in parts of bounded size, whole and in order."""

import io

import lanes_world as world
import pytest
from m0_signer.workers.wire import (
    ENTRIES,
    LENGTH,
    Begin,
    Done,
    Feed,
    Said,
    Save,
    Saved,
    StatePart,
    asked,
    frame,
    state_parts,
)
from m0_signer.workers.work import SAID_MAX, Work
from m0common.ids import Lane
from m0common.stream.core import nothing
from signer_log import HEART

BEGIN = Begin(HEART.deployment.genesis_hash, HEART.deployment.control_key, world.PARTITIONS, ("coins",))
MANIFEST = nothing(1, Lane("coins", 0)).manifest


def work():
    return Work(lambda _deployment: HEART)


def many_markets(count):
    log = world.World(groups=("penny",))
    log.begin()
    for number in range(count):
        log.open("penny", f"COIN_{number}", log.now_ms)
    log.end(world.FIRST)
    return log.records


def test_messages_come_back_from_their_frames_and_one_that_was_cut_off_is_none():
    said = [BEGIN, Feed(many_markets(1)), Save(3)]
    whole = b"".join(map(frame, said))
    assert list(asked(io.BytesIO(whole))) == said
    for cut in (1, LENGTH.size, len(frame(said[-1])) - 1):
        assert list(asked(io.BytesIO(whole[:-cut]))) == said[:-1]
    assert list(asked(io.BytesIO(b""))) == []


@pytest.mark.parametrize("count", [0, 1, ENTRIES, ENTRIES + 1, 3 * ENTRIES])
def test_a_state_is_said_in_parts_of_bounded_size(count):
    entities = {number.to_bytes(4, "big"): None if number % 7 == 0 else b"value" for number in range(count)}
    parts = list(state_parts(MANIFEST, entities))
    assert len(parts) == max(1, -(-count // ENTRIES))
    assert all(part.manifest == MANIFEST and len(part.entries) <= ENTRIES for part in parts)
    assert dict(entry for part in parts for entry in part.entries) == entities


def test_a_long_marker_is_said_in_slices_before_its_records_are_done():
    one = work()
    list(one.answer(BEGIN))
    answers = list(one.answer(Feed(many_markets(3 * SAID_MAX))))
    slices = [len(answer.messages) for answer in answers if isinstance(answer, Said)]
    assert max(slices) <= SAID_MAX
    assert sum(slices) > 3 * SAID_MAX
    assert answers[-1] == Done(0)


def test_what_is_handed_over_is_handed_over_once_and_a_worker_goes_on_from_it():
    records = world.season(4).records
    first, second, whole = work(), work(), work()
    list(first.answer(BEGIN))
    list(whole.answer(BEGIN))
    list(first.answer(Feed(records[:150])))
    list(whole.answer(Feed(records[:150])))
    *states, saved = first.answer(Save(1))
    assert saved == Saved(1)
    assert list(first.answer(Save(2))) == [Saved(2)]
    for state in states:
        assert isinstance(state, StatePart)
        list(second.answer(state))
    list(second.answer(BEGIN))
    ahead = [answer for answer in whole.answer(Feed(records[150:])) if isinstance(answer, Said)]
    # what is held is read again; what was said is not said again
    again = [answer for answer in second.answer(Feed(records)) if isinstance(answer, Said)]
    assert [m for said in again for m in said.messages] == [m for said in ahead for m in said.messages]
