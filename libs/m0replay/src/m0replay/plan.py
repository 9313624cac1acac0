"""Where a replay of one epoch begins, and how far each lane must be read for it."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from m0common.errors import M0Error
from m0common.ids import Lane
from m0common.messages import HeaderMessage
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import bounds
from m0common.stream.restored import Restored
from m0common.topics import RAW
from m0lanes.stages import Heart

from m0replay.course import Named, note
from m0replay.headers import header_before, headers
from m0replay.states import Untrusted, began_at, bundle_state, ended_before, published

TRIES = 8
"""So many epochs before the one replayed are asked for their states; those of older ones were trimmed before theirs."""


@dataclass(slots=True)
class Plan:
    """`checkpoint` is the epoch whose states are gone on from, None for the beginning of the log; `states` are those of
    all stages, `starts` the raw offsets of lanes that have none, `lives` what the headers from there up to the epoch
    name, `recorded` the header of the epoch as the log has it.
    """

    checkpoint: int | None = None
    states: list[Restored] = field(default_factory=list)
    starts: Mapping[int, int] = field(default_factory=dict)
    lives: Named = field(default_factory=dict)
    recorded: HeaderMessage | None = None


async def plan(broker: Broker, heart: Heart, catalog: str, epoch_id: int, *, full: bool) -> Plan:
    """The shortest way to re-run an epoch. Raises Untrusted for a checkpoint that is not its header's, Unavailable."""
    at = epoch_id
    for _ in range(0 if full else TRIES):
        header = await header_before(broker, catalog, at)
        if header is None:
            break
        at = header.epoch_id
        try:
            found = await published(broker, header)
        except Untrusted as error:
            raise M0Error(f"{error}: replay with FULL=1") from error
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
        begins = None if ended else await began_at(broker, lane)
        if begins is not None:
            starts[partition] = begins
        elif not ended:
            raise M0Error(
                f"lane {lane.catalog}/{partition} began behind the checkpoint of epoch {header.epoch_id}, and its "
                "first manifest is not in the log any more: replay with FULL=1"
            )
    is_read = {roots.partition for roots in header.lanes} <= made.lives.keys()
    behind = None if is_read or not following else following[min(following)]
    states.append(bundle_state(heart, header, states, behind))
    return Plan(made.checkpoint, states, starts, made.lives, made.recorded)


async def _from_the_beginning(broker: Broker, catalog: str, epoch_id: int) -> Plan:
    lives: Named = {}
    recorded: HeaderMessage | None = None
    async with aclosing(headers(broker, catalog, 0, epoch_id)) as found:
        async for header in found:
            note(lives, header)
            recorded = header if header.epoch_id == epoch_id else recorded
    partitions = sorted(lives) or range(await broker.partitions(RAW.name))
    begins = (await bounds(broker, [TopicPartition(RAW.name, partition) for partition in partitions])).begins
    return Plan(None, [], {where.partition: at for where, at in begins.items()}, lives, recorded)
