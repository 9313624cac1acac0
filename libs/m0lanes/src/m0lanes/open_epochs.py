"""Stage 4: the epochs of a catalog that are not closed, and which of them nobody will ever close."""

from collections.abc import Mapping

import msgspec
from m0common.messages.types import Digest, Life

from m0lanes.bodies import Marker


class Passed(msgspec.Struct, frozen=True, array_like=True):
    """A lane's marker of an epoch, with the life and release that brought it."""

    marker: Marker
    life: Life
    release: Digest


Open = Mapping[int, Mapping[int, Passed]]
"""By epoch: what its lanes have said of it, one at least."""


def marker_of(lanes: Mapping[int, Passed]) -> Marker:
    """The marker of an open epoch, as any of its lanes has said it."""
    return next(iter(lanes.values())).marker


def behind(marker: Marker) -> int:
    """The generation in force behind a marker."""
    return marker.generation if marker.next is None else marker.next[0]


def lost(epochs: Open, begun: Mapping[int, int]) -> frozenset[int]:
    """The epochs that can never be whole: a lane of them has gone past them without a word. A lane says its epochs in
    order, and one whose life goes on behind a gap says none before the generation that `begun` has for it.
    """
    newest: dict[int, int] = {}
    for epoch_id, lanes in sorted(epochs.items()):
        newest |= dict.fromkeys(lanes, epoch_id)
    return frozenset(
        epoch_id
        for epoch_id, lanes in epochs.items()
        for marker in [marker_of(lanes)]
        if any(
            newest.get(p, -1) > epoch_id or begun.get(p, 0) > marker.generation for p in marker.lanes if p not in lanes
        )
    )
