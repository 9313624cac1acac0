"""Stage 4: the epochs of a catalog that are not closed, which of them can be, and which nobody will ever close.

At any time it is the turn of one generation, and it is known which lanes it has: nothing else is waited for. What comes
behind it a lane of it tells with the marker that puts the next one in force. Where none of them can tell any more, as
the life of each goes on behind a gap and says nothing before a later generation, what they go on with comes next: the
earliest of those generations. Whatever was said of others between is missed, by whoever hears it and whenever.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from m0common.messages.types import Digest, Life

from m0lanes.bodies import Marker
from m0lanes.control import RebasePayload


class Passed(msgspec.Struct, frozen=True, array_like=True):
    """A lane's marker of an epoch, with the life and release that brought it."""

    marker: Marker
    life: Life
    release: Digest


class Turn(NamedTuple):
    """A generation that closes epochs and the lanes that say them, none where the catalog has ended."""

    generation: int
    lanes: tuple[int, ...]


Open = Mapping[int, Mapping[int, Passed]]
"""By epoch: what its lanes have said of it, one at least."""
Gaps = Mapping[int, Turn]
"""The lanes whose life goes on behind a gap, and the generation before which they say nothing there."""


class Outlook(NamedTuple):
    """`whole` are the epochs that can be closed, ascending, `lost` those that nobody will close, `turn` whose epochs
    come next behind both.
    """

    whole: list[int]
    lost: frozenset[int]
    turn: Turn


def marker_of(lanes: Mapping[int, Passed]) -> Marker:
    """The marker of an open epoch, as any of its lanes has said it."""
    return next(iter(lanes.values())).marker


def behind(marker: Marker) -> Turn:
    """Whose turn it is behind a marker."""
    return Turn(marker.generation, marker.lanes) if marker.next is None else Turn(marker.next[0], marker.next_lanes)


def gap_of(payload: RebasePayload) -> Turn | None:
    """Before which generation a lane says nothing in a new life, None where that is not behind a gap."""
    if not payload.gap or payload.in_force is None:
        return None
    return Turn(payload.in_force.generation, payload.in_force_lanes)


def is_due(marker: Marker, turn: Turn) -> bool:
    """Whether a marker is of the generation whose turn it is, or of the one behind it where it has no lanes. The first
    of a catalog follows generation 0.
    """
    return turn.generation in (marker.generation, marker.follows)


def outlook(turn: Turn, epochs: Open, gaps: Gaps) -> Outlook:
    """What becomes of the open epochs where it is the turn of one generation. It depends on what the lanes have said,
    not on the order in which they were heard: an epoch that is not whole and may still be holds up those behind it.
    """
    missed, whole, last = _never_whole(epochs, gaps), list[int](), -1
    while True:
        found = next(_due(epochs, turn, last), None)
        if found is None:
            following = _behind_gaps(turn, gaps)
            if following is None:
                break
            turn = following
            continue
        last, lanes = found
        marker = marker_of(lanes)
        if set(marker.lanes) <= lanes.keys():
            whole.append(last)
        elif last not in missed:
            break
        turn = behind(marker)
    passed_over = {epoch_id for epoch_id, lanes in epochs.items() if marker_of(lanes).generation < turn.generation}
    return Outlook(whole, missed | passed_over.difference(whole), turn)


def _due(epochs: Open, turn: Turn, last: int) -> Iterator[tuple[int, Mapping[int, Passed]]]:
    for epoch_id, lanes in sorted(epochs.items()):
        if epoch_id > last and any(is_due(passed.marker, turn) for passed in lanes.values()):
            yield epoch_id, lanes


def _behind_gaps(turn: Turn, gaps: Gaps) -> Turn | None:
    """What follows a generation that none of its lanes says anything of any more, None as long as one may. Of one that
    has no lanes whoever comes in behind a gap tells it.
    """
    later = {lane: gap for lane, gap in gaps.items() if gap.generation > turn.generation}
    if not later.keys() >= set(turn.lanes):
        return None
    return min((gap for lane, gap in later.items() if lane in turn.lanes or not turn.lanes), default=None)


def _never_whole(epochs: Open, gaps: Gaps) -> frozenset[int]:
    """The epochs that a lane of them has gone past without a word. A lane says its epochs in order."""
    newest: dict[int, int] = {}
    for epoch_id, lanes in sorted(epochs.items()):
        newest |= dict.fromkeys(lanes, epoch_id)
    return frozenset(
        epoch_id
        for epoch_id, lanes in epochs.items()
        for marker in [marker_of(lanes)]
        if any(
            newest.get(p, -1) > epoch_id or (p in gaps and gaps[p].generation > marker.generation)
            for p in marker.lanes
            if p not in lanes
        )
    )
