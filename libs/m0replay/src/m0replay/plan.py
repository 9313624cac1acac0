"""Where a replay of one epoch begins, and how far each lane must be read for it."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from m0common.ids import Lane
from m0common.messages import HeaderMessage, Manifest
from m0common.stream.broker import Broker
from m0common.stream.restored import Restored
from m0common.topics import RAW
from m0lanes.open_epochs import Turn
from m0lanes.stages import Heart

from m0replay.bundle_behind import Unreadable, bundle_state, turn_behind, turn_of
from m0replay.course import Named, note
from m0replay.headers import header_before, headers
from m0replay.irreplayable import Irreplayable
from m0replay.seek import raw_begins
from m0replay.states import Untrusted, ended_before, first_manifest, published

TRIES = 8
"""So many epochs before the one replayed are asked for their states; those of older ones were trimmed before theirs."""
FIRST_OF_ALL = (0, 1)
"""Life and position of a lane when it has taken the first message of all: every lane is saved then."""


@dataclass(slots=True)
class Plan:
    """`checkpoint` is the epoch whose states are gone on from, None for the beginning of the log; `states` are those of
    all stages, `starts` the raw offsets of lanes that have none, `lives` what the headers from there up to the epoch
    name, `recorded` the header of the epoch as the log has it. `gone` says of lanes of the catalog whose raw is wanted
    from its beginning, and no longer there, where it begins now.
    """

    checkpoint: int | None = None
    states: list[Restored] = field(default_factory=list)
    starts: Mapping[int, int] = field(default_factory=dict)
    lives: Named = field(default_factory=dict)
    recorded: HeaderMessage | None = None
    gone: Mapping[int, int] = field(default_factory=dict)


async def plan(broker: Broker, heart: Heart, catalog: str, epoch_id: int, *, full: bool) -> Plan:
    """The shortest way to re-run an epoch. Raises Untrusted for a checkpoint that is not its header's,
    Irreplayable, Unavailable.
    """
    at = epoch_id
    for _ in range(0 if full else TRIES):
        header = await header_before(broker, catalog, at)
        if header is None:
            break
        at = header.epoch_id
        try:
            found = await published(broker, header)
        except Untrusted as error:
            raise Untrusted(f"{error}: replay with FULL=1") from error
        if found is not None:
            following = await _known(broker, catalog, at + 1, epoch_id)
            lives: Named = {}
            for each in following.values():
                note(lives, each)
            lives = lives or {lane.partition: {lane.life: epoch_id} for lane in header.lanes}
            made = Plan(at, found.states, {}, lives, following.get(epoch_id))
            return await _with_other_lanes(broker, heart, header, made, following)
    return await _from_the_beginning(broker, catalog, epoch_id)


async def _known(broker: Broker, catalog: str, first: int, last: int) -> dict[int, HeaderMessage]:
    known: dict[int, HeaderMessage] = {}
    async with aclosing(headers(broker, catalog, first, last)) as found:
        async for header in found:
            known.setdefault(header.epoch_id, header)
    return known


async def _with_other_lanes(
    broker: Broker, heart: Heart, header: HeaderMessage, made: Plan, following: Mapping[int, HeaderMessage]
) -> Plan:
    """Add the lanes that later epochs name and the checkpoint's does not: opened again, or new."""
    starts: dict[int, int] = {}
    states = list(made.states)
    for partition in sorted(made.lives.keys() - {lane.partition for lane in header.lanes}):
        lane = Lane(header.catalog, partition)
        ended = await ended_before(broker, lane, header.epoch_id, min(made.lives[partition]))
        states += ended
        begins = None if ended else _beginning(await first_manifest(broker, lane))
        if begins is not None:
            starts[partition] = begins
        elif not ended:
            raise Irreplayable(
                f"lane {lane.catalog}/{partition} began behind the checkpoint of epoch {header.epoch_id}, and its "
                "first manifest is not in the log any more: replay with FULL=1"
            )
    states.append(bundle_state(heart, header, states, _turn(header, states, made.lives, following)))
    return Plan(made.checkpoint, states, starts, made.lives, made.recorded)


def _turn(
    header: HeaderMessage, states: Sequence[Restored], lives: Named, following: Mapping[int, HeaderMessage]
) -> Turn:
    """Whose epochs come behind a header. The next one tells it where the states do not: of a generation that has a lane
    which is not read, as raw may have lost what that would say, or where another release wrote them. Raises Unreadable.
    """
    behind = turn_of(following[min(following)]) if following else None
    try:
        told = turn_behind(header, states)
    except Unreadable:
        if behind is None:
            raise
        return behind
    return told if behind is None or set(told.lanes) <= lives.keys() else behind


async def _from_the_beginning(broker: Broker, catalog: str, epoch_id: int) -> Plan:
    lives: Named = {}
    recorded: HeaderMessage | None = None
    async with aclosing(headers(broker, catalog, 0, epoch_id)) as found:
        async for header in found:
            note(lives, header)
            recorded = header if header.epoch_id == epoch_id else recorded
    every = range(await broker.partitions(RAW.name))
    begins = await raw_begins(broker, every)
    starts = {partition: begin for partition, begin in begins.items() if partition in (lives or every)}
    gone: dict[int, int] = {}
    for partition, begin in begins.items():
        first = await first_manifest(broker, Lane(catalog, partition)) if begin > 0 else None
        if first is not None and _is_cut(first, begin):
            gone[partition] = begin
    return Plan(None, [], starts, lives, recorded, gone)


def _is_cut(first: Manifest, begin: int) -> bool:
    beginning = _beginning(first)
    return beginning is None or beginning < begin


def _beginning(first: Manifest | None) -> int | None:
    """The raw offset of the first record that a lane took; None when the first of its manifests is gone."""
    return first.input_offset if first is not None and (first.life, first.position) == FIRST_OF_ALL else None
