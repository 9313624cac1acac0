"""Copies of signed records: whoever may write can carry them into any lane at any time, and nothing comes of it."""

from collections.abc import Callable

import lanes_world as world
import msgspec
import pytest
from lanes_copies import Copies
from lanes_steps import EPOCH, FIRST, START, agrees, epochs, errors, opened, parked, ran, where
from m0common.stream.core import Cut
from m0common.stream.records import Record
from m0lanes.control import SourceRule

STAYS, COMES, NEW = sorted({where(group): group for group in world.GROUPS}.values())


def corrected(mistake: tuple[str, ...]) -> world.World:
    """A set with a mistake is written and corrected before it takes force; its lanes that are no others have it."""
    log = opened((STAYS,))
    log.define(2, groups=mistake)
    log.define(2, groups=(STAYS,))
    log.end(FIRST + 1, following=2)
    return log


@pytest.mark.parametrize("names", ["nothing", "a set read here", "a set that is not"])
def test_a_marker_carried_into_a_lane_that_a_corrected_set_named_by_mistake_is_a_letter(names: str):
    log = corrected(tuple(sorted((STAYS, NEW))))
    following = None if names == "nothing" else 3
    if following:
        groups = (STAYS,) if names == "a set that is not" else tuple(sorted((STAYS, COMES)))
        log.define(3, groups=groups)
    if names == "a set read here":
        log.define(3, groups=groups, partitions=[where(NEW)])
    marker, *_ = log.end(FIRST + 2, following=following)
    log.raw(where(NEW), marker.value)
    number = log.in_force + 1
    log.define(number, groups=tuple(sorted((STAYS, NEW))))
    log.end(FIRST + 3, following=number)
    log.open(NEW, "NEW", log.now_ms)
    log.end(FIRST + 4)
    closed, chain = ran(log)
    assert parked(chain) == []
    assert "wrong_partition" in errors(chain)
    assert epochs(closed) == [FIRST + n for n in range(5)]
    assert "NEW" in world.leaves(closed)[FIRST + 4]
    agrees(log)


def test_a_lane_that_the_set_in_force_names_and_that_never_heard_it_begin_still_parks():
    log = opened((STAYS,))
    log.define(2, groups=tuple(sorted((STAYS, NEW))))
    log.end(FIRST + 1, following=2, partitions=[where(STAYS)])
    log.end(FIRST + 2)
    (reason,) = parked(ran(log)[1])
    assert "generation 2, which never began here" in reason


def test_copies_of_what_is_about_a_lane_cost_it_no_checkpoint():
    log = opened((STAYS,))
    log.define(2, groups=(STAYS,))
    core = world.HEART.normalize()
    for record in log.records:
        list(core.feed(record))
    for record in [record for record in log.records if record.partition == where(STAYS)]:
        copy = log.raw(record.partition, record.value)
        assert not [output for output in core.feed(copy) if isinstance(output, Cut)], record.value
    log.end(FIRST + 1, following=2)
    log.raw(where(STAYS), log.values[2])
    log.end(FIRST + 2)
    agrees(log)


def held_and_dropped(following: tuple[str, ...], *, carries: bool) -> world.World:
    """An opening waits for the next window when a set takes force without its group, which is back later; then somebody
    may carry the opening's copy. A stranger said a number of his own beside it.
    """
    log = opened(("dime", "euro", "penny"))
    log.define(2, groups=following)
    log.now_ms = START + 2 * EPOCH + 400
    ghost = log.open("penny", "GHOST", log.now_ms)
    log.open("penny", "GHOST_TOO", log.now_ms)
    log.event("penny", "market_open", {}, log.now_ms, "X", "registry", world.STRANGER, seq=1_000_000)
    log.end(FIRST + 1, following=2)
    log.end(FIRST + 2)
    log.define(3)
    log.end(FIRST + 3, following=3)
    log.open("penny", "REAL", log.now_ms)
    if carries:
        log.raw(ghost.partition, ghost.value)
    log.end(FIRST + 4)
    log.end(FIRST + 5)
    return log


@pytest.mark.parametrize("following", [("dime", "euro"), ("euro",)], ids=["its lane goes on", "its lane ends"])
def test_a_copy_of_an_opening_that_was_dropped_while_it_waited_opens_nothing(following: tuple[str, ...]):
    plain, copied = (held_and_dropped(following, carries=carries) for carries in (False, True))
    headers = world.headers(ran(plain)[0])
    closed, chain = ran(copied)
    assert world.headers(closed) == headers
    assert "REAL" in world.leaves(closed)[FIRST + 5]
    assert chain.cores[0].drops["registry", "repeat"] == 1
    agrees(copied)


def begun() -> world.World:
    """A log in which also a source speaks that signs and numbers what it says."""
    log = world.World()
    signs = SourceRule(("toss",), bytes(world.STRANGER.pubkey()).hex(), dense=True)
    log.define(1, sources=world.sources() | {"signs": signs})
    log.end(FIRST - 1, following=1)
    log.open("penny", "OPEN", log.now_ms)
    return log


def refused(log: world.World) -> Record:
    """An opening of a market that is open in another group of its lane, which ends before the copy comes."""
    near = next(group for group in world.GROUPS if group != "penny" and where(group) == where("penny"))
    log.open(near, "TWICE", log.now_ms)
    second = log.open("penny", "TWICE", log.now_ms)
    log.close(near, "TWICE", log.now_ms)
    return second


def ahead(log: world.World) -> Record:
    """An opening and a closing that are dated too far ahead, both passed over."""
    opening = log.open("penny", "FUTURE", log.now_ms + 5 * EPOCH)
    log.close("penny", "FUTURE", log.now_ms + 5 * EPOCH)
    return opening


def seen_ahead(log: world.World) -> Record:
    """An observation that is dated too far ahead."""
    return log.toss("penny", True, log.now_ms + 5 * EPOCH, source="signs", key=world.STRANGER, seq=7)


def seen_too_early(log: world.World) -> Record:
    """An observation of a market that is opened behind it."""
    early = log.toss("penny", True, log.now_ms, "LATER", source="signs", key=world.STRANGER, seq=7)
    log.open("penny", "LATER", log.now_ms)
    return early


@pytest.mark.parametrize("said", [refused, ahead, seen_ahead, seen_too_early])
def test_what_was_signed_counts_where_it_stands_or_never(said: Callable[[world.World], Record]):
    headers = []
    for copies in (0, 2):
        log = begun()
        record = said(log)
        for number in range(8):
            log.end(FIRST + number)
            for _ in range(copies):
                log.raw(record.partition, record.value)
        closed, chain = ran(log)
        headers.append(world.headers(closed))
        agrees(log)
    assert headers[0] == headers[1]
    assert len(headers[0]) == 8
    assert chain.cores[0].drops[msgspec.json.decode(record.value)["source"], "repeat"] > 0


@pytest.mark.parametrize("seed", range(25 if not world.SOAK else 2_000))
def test_copies_of_anything_signed_change_no_header(seed: int):
    story = Copies(seed)
    for _ in range(10):
        story.something()
    story.end()
    story.flush()
    assert story.fleet.parked() == []
    plain = world.headers(world.Follower(world.HEART).play(story.without()))
    assert story.fleet.topics.headers() == plain
