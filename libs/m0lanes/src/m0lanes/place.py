"""A place in the log, as one lane sees it: the generation in force there and the window that is open.

What an event's time and group come to, and whether a marker counts, follows from the place and the record alone, so
that reading a record again gives the same verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from m0common.errors import DeadLetterError
from m0common.ids import Lane, epoch_window
from m0common.messages import RawEvent

from m0lanes.authority import identity, is_signed_by
from m0lanes.control import EPOCH_END, MARKET_KINDS, EpochEndPayload, NextGeneration
from m0lanes.door import is_too_far_ahead
from m0lanes.generations import Generation

NO_GROUP = "no_catalog_names_the_group"
TOO_FAR_AHEAD = "too_far_ahead"
TOO_OLD = "too_old"

Sets = Mapping[tuple[int, bytes], Generation]
"""Generations by number and hash."""


class Missing(Exception):
    """The lane lacks what a valid marker names: it cannot go on. The message says what; `key` is the set, if one."""

    def __init__(self, reason: str, key: tuple[int, bytes] | None = None) -> None:
        super().__init__(reason)
        self.key = key


@dataclass(frozen=True, slots=True)
class Place:
    """Behind the marker of `last_epoch` (-1: before the first). No generation: none is in force."""

    generation: Generation | None
    last_epoch: int
    last_end_ms: int
    open_end_ms: int = field(init=False)
    """The end of the window that is open."""

    def __post_init__(self) -> None:
        length = 0 if self.generation is None else self.generation.payload.epoch_ms
        object.__setattr__(self, "open_end_ms", self.last_end_ms + length)

    @classmethod
    def of_window(cls, generation: Generation, open_end_ms: int) -> "Place":
        """The place at which the window ending at `open_end_ms` is open."""
        length = generation.payload.epoch_ms
        return cls(generation, open_end_ms // length - 2, open_end_ms - length)

    def epoch_of(self, event: RawEvent) -> int | None:
        """The epoch that an event which stands here is applied in, if it is; None when no generation is in force."""
        now = self.generation
        return None if now is None else max(event.event_ms // now.payload.epoch_ms, self.last_epoch + 1)

    def verdict(self, event: RawEvent, append_ms: int) -> str | None:
        """Why an event that stands here is passed over; None: it is applied when its window is open."""
        now = self.generation
        if now is None or event.group not in now.groups:
            return NO_GROUP
        payload, open_end_ms, event_ms = now.payload, self.open_end_ms, event.event_ms
        if event_ms >= open_end_ms and is_too_far_ahead(event_ms, append_ms, open_end_ms, payload.epoch_ms):
            return TOO_FAR_AHEAD
        # an observation lies further back than the catalog's horizon, seen from where it stands in the log
        if event_ms < append_ms - payload.horizon_ms and event.kind not in MARKET_KINDS:
            return TOO_OLD
        return None


def named(following: NextGeneration | None) -> tuple[int, bytes] | None:
    """The number and hash of the set that a marker names."""
    return None if following is None else (following.generation, bytes.fromhex(following.hash))


def counts(
    lane: Lane, place: Place, sets: Sets, event: RawEvent, payload: EpochEndPayload, genesis_hash: bytes
) -> bool:
    """Whether a marker that stands at `place` closes or begins something in the lane; False for one of a closed epoch.

    Raises DeadLetterError for one that means nothing, Missing for a valid one that the lane cannot follow.
    """
    name = f"{lane.catalog}/{lane.partition}"
    _check_about_lanes(event)
    marker = f"the marker of epoch {payload.epoch_id}"
    now, key = place.generation, named(payload.next)
    following = None if key is None else sets.get(key)
    if now is not None:
        clocks = [now]
    elif following is not None:
        clocks = [following]
    else:
        _check_names(lane, payload)
        clocks = [made for made in sets.values() if made.number == payload.generation and lane.partition in made.lanes]
    _check_signature(name, clocks, event, genesis_hash)
    if payload.epoch_id <= place.last_epoch:
        return False
    known = now or following
    if known is not None:
        _check_window(name, known, payload)
    if now is not None:
        _check_generation(name, now, payload)
    if now is None and following is None:
        raise Missing(f"{marker} is of generation {payload.generation}, which never began here")
    if key is not None and following is None:
        raise Missing(f"{marker} names generation {key[0]}, not read here", key)
    return now is not None or (following is not None and lane.partition in following.lanes)


def joined(
    lane: Lane,
    joins: tuple[int, bytes],
    last_epoch: int,
    sets: Sets,
    event: RawEvent,
    payload: EpochEndPayload,
    genesis_hash: bytes,
) -> tuple[int, bytes] | None:
    """The set (number and hash) that a lane behind a gap goes on with from a marker on, None when it does not yet.

    `joins` is the set that was in force when the gap was declared, number 0 where none was: the lane comes in at a
    marker of that generation, or at the first one that puts it or a later one in force. Markers before that are
    passed over: whose they are and what they mean is lost.

    Raises DeadLetterError for one that means nothing, Missing for one that the lane cannot follow.
    """
    name, number, key = f"{lane.catalog}/{lane.partition}", joins[0], named(payload.next)
    _check_about_lanes(event)
    marker, reaches = f"the marker of epoch {payload.epoch_id}", payload.generation if key is None else key[0]
    if payload.epoch_id <= last_epoch or reaches < number or (key is None and number == 0):
        return None
    if number and joins not in sets and key not in sets:
        raise Missing(f"{marker} is of generation {reaches}, and generation {number} is not read here", joins)
    clocks = [made for place, made in sorted(sets.items()) if place in (joins, key) or place[0] == payload.generation]
    _check_signature(name, clocks, event, genesis_hash)
    if key is None and payload.generation > number:
        raise Missing(f"{marker} is of generation {payload.generation}, {number} was in force at the gap")
    target = joins if key is None else key
    made = sets.get(target)
    if made is None:
        raise Missing(f"{marker} names generation {target[0]}, not read here", target)
    _check_window(name, made, payload)
    if key is None and payload.lanes != made.lanes:
        raise DeadLetterError("wrong_lanes", f"generation {number} has lanes {made.lanes}, not {payload.lanes}")
    return target if lane.partition in made.lanes else None


def _check_about_lanes(event: RawEvent) -> None:
    if event.group or event.market_id is not None:
        raise DeadLetterError("invalid_event", "epoch_end: group is empty and market_id null, it is about lanes")


def _check_names(lane: Lane, payload: EpochEndPayload) -> None:
    """Whoever may write could carry a marker into a partition that it is not about: only what is said of this very lane
    can stop it.
    """
    if lane.partition not in payload.lanes:
        raise DeadLetterError(
            "wrong_partition",
            f"the marker of epoch {payload.epoch_id} of {lane.catalog} is not about lane {lane.partition}",
        )


def _check_signature(name: str, clocks: list[Generation], event: RawEvent, genesis_hash: bytes) -> None:
    keys = sorted({key for made in clocks if (key := made.key_of(event.source, EPOCH_END)) is not None})
    if not keys:
        raise DeadLetterError("unlisted_source", f"source {event.source!r} is not the clock of {name}")
    event_id = identity(event)
    if not any(is_signed_by(event, event_id, genesis_hash, key) for key in keys):
        raise DeadLetterError("wrong_signature", f"epoch_end of {name} is not signed by {keys[0].hex()}")


def _check_window(name: str, known: Generation, payload: EpochEndPayload) -> None:
    if (payload.window_start_ms, payload.window_end_ms) != epoch_window(payload.epoch_id, known.payload.epoch_ms):
        raise DeadLetterError(
            "wrong_window", f"epoch {payload.epoch_id} of {name} does not last from {payload.window_start_ms}"
        )


def _check_generation(name: str, now: Generation, payload: EpochEndPayload) -> None:
    if payload.generation > now.number:
        raise Missing(
            f"the marker of epoch {payload.epoch_id} is of generation {payload.generation}, {now.number} is in force"
        )
    if payload.generation < now.number or (payload.next is not None and payload.next.generation <= now.number):
        raise DeadLetterError(
            "old_generation",
            f"the marker of epoch {payload.epoch_id} of {name} goes back behind generation {now.number}",
        )
    if payload.lanes != now.lanes:
        raise DeadLetterError("wrong_lanes", f"generation {now.number} has lanes {now.lanes}, not {payload.lanes}")
