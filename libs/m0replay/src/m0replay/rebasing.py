"""A new life for a lane: the newest marker whose states restore at every stage, and the signed `rebase` behind it."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from m0common.canonical import ZERO
from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import SettingsError
from m0common.messages import Manifest, raw_event
from m0common.stream.broker import Broker
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.stream.restored import LANE_STAGES, Restored
from m0common.stream.states import manifests, restore_newest
from m0common.topics import MANIFESTS, RAW
from m0lanes.births import no_life
from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.checkpoints import gathered
from m0lanes.control import REBASE, NextGeneration, RebasePayload
from m0lanes.generations import lanes_of
from m0lanes.slots import NO_RELEASE
from msgspec.structs import replace

from m0replay.catalog_log import CatalogLog
from m0replay.catalogs import CONTROL
from m0replay.control_keys import ControlKey
from m0replay.control_records import DefinedSet
from m0replay.control_value import control_value
from m0replay.lives import Begun
from m0replay.seek import raw_begins

Unread = Callable[[Sequence[Restored]], str | None]
"""What the code that is to go on does not read of these states, None when it reads all of them."""


class RebasePlan(NamedTuple):
    """What a rebase will do, and in words from where the lane goes on. `unread` says why not from a newer marker, and
    `again` is the record of the set in force, to be said again where the lane goes on behind a gap.
    """

    payload: RebasePayload
    origin: str
    again: bytes | None = None
    unread: str | None = None

    @property
    def gap(self) -> bool:
        """Whether records are gone that the lane would have read."""
        return self.payload.gap


class Saved(NamedTuple):
    """What the log has of a lane: the manifests of its stages, and of the stage that bundles its catalog, none of a
    life that no signed rebase begins.
    """

    catalog: str
    partition: int
    lane: list[Manifest]
    bundle: list[Manifest]

    @property
    def newest(self) -> Manifest | None:
        """Where the lane stands in its first stage, or in the first that has anything."""
        stage = min((m.stage for m in self.lane), default=0)
        mine = [m for m in self.lane if m.stage == stage]
        return max(reversed(mine), key=lambda m: (m.life, m.position), default=None)

    @property
    def closed(self) -> int | None:
        """The newest epoch that the catalog's bundle stage has closed, None where nothing says."""
        return max((m.epoch_id for m in self.bundle if m.epoch_id is not None), default=None)

    @property
    def is_over(self) -> bool:
        """Whether the lane has ended and all that it said is closed."""
        now, closed = self.newest, self.closed
        marked = max((m.epoch_id for m in self.lane if m.epoch_id is not None), default=None)
        ended = now is not None and now.status == "retired" and now.following == ZERO
        return ended and marked is not None and closed is not None and marked <= closed

    def life_behind(self, begun: Begun | None) -> int:
        """The life to begin behind all that were ever begun."""
        return max([m.life for m in self.lane] + [0 if begun is None else begun.life]) + 1

    def runner(self, begun: Begun | None, in_force: DefinedSet | None) -> bytes | None:
        """The release that runs the lane once it has read all that the log holds, with `begun` the newest life begun
        there: the one that it was given in the generation in force, else that generation's. One that has no lane there
        keeps what it has; None where nothing says.
        """
        now = self.newest
        is_begun = begun is not None and (now is None or begun.life > now.life)
        if in_force is not None and self.partition in in_force.lanes:
            number = in_force.payload.generation
            if begun is not None and is_begun and begun.generation == number:
                return bytes.fromhex(begun.release)
            if now is not None and not is_begun and now.generation == number and now.runner != NO_RELEASE:
                return now.runner
            return bytes.fromhex(in_force.payload.release)
        if begun is not None and is_begun:
            return bytes.fromhex(begun.release)
        return None if now is None else now.runner


async def saved(broker: Broker, deployment: Deployment, catalog: str, partition: int) -> Saved:
    """What the log has. Raises Unavailable."""
    home = partition_for(catalog.encode(), await broker.partitions(MANIFESTS.name))
    found = await manifests(broker, sorted({partition, home}))
    return saved_of([m for m in found if no_life(m, deployment) is None], catalog, partition)


def saved_of(known: Iterable[Manifest], catalog: str, partition: int) -> Saved:
    """The same out of manifests of lives that there are, other lanes' and catalogs' included."""
    mine = [m for m in known if m.catalog == catalog]
    lane = [m for m in mine if m.partition == partition and m.stage in LANE_STAGES]
    return Saved(catalog, partition, lane, [m for m in mine if m.stage == BUNDLE_STAGE])


def _all_read(_: Sequence[Restored]) -> str | None:
    return None


async def plan_rebase(
    broker: Broker,
    log: CatalogLog,
    catalog: str,
    partition: int,
    release: bytes | None,
    *,
    from_epoch: int | None = None,
    from_beginning: bool = False,
    unread: Unread = _all_read,
) -> RebasePlan:
    """The rebase of one lane: from the newest marker whose states of stages 1 to 3 restore and are read, exactly
    `from_epoch` when that is given, or else from the beginning of the log. `release` None: the one that runs the lane
    behind all that the log holds. `log` has been read.

    A marker of an epoch that the catalog has not closed yet is passed over, and refused when it is asked for: what the
    lane had said of that epoch is said again.

    Raises SettingsError when the lane is not known, or the epoch asked for does not serve; Unavailable.
    """
    begin = await _begin(broker, partition)
    known, in_force = await saved(broker, log.deployment, catalog, partition), log.control.in_force(catalog)
    now, begun = known.newest, log.lives.newest(catalog, partition)
    if now is None:
        raise SettingsError(f"no lane {catalog}/{partition} has ever been saved: see 'm0 lane list'")
    release = release or known.runner(begun, in_force) or now.runner
    life, why = known.life_behind(begun), None
    if from_epoch is not None and known.closed is not None and from_epoch > known.closed:
        raise SettingsError(
            f"epoch {from_epoch} of {catalog} is not closed, the newest that is is {known.closed}: give that or an "
            "older one, or leave --from out"
        )
    if not from_beginning:
        states, why = await _chosen(broker, known, from_epoch, unread)
        if states is not None:
            return _from_marker(catalog, partition, life, release, states, begin, in_force)._replace(unread=why)
        if from_epoch is not None:
            raise SettingsError(
                f"epoch {from_epoch} of lane {catalog}/{partition} "
                + ("does not restore at every stage" if why is None else f"is not read by the installed code ({why})")
                + ": leave --from out to take the newest that serves, or use --from beginning"
            )
    return _anew(catalog, partition, life, release, begin, in_force)._replace(unread=why)


async def check_rebase(
    broker: Broker, log: CatalogLog, catalog: str, lanes: Collection[int], release: bytes | None
) -> None:
    """Ask whether a new life of these lanes repairs anything, under `release` or where none is given the one that each
    of them has. `log` has been read.

    Raises SettingsError for a lane that has ended, which goes on with the generation that names it again, and where
    lanes of the catalog would be of two releases, and an epoch has one; Unavailable.
    """
    in_force = log.control.in_force(catalog)
    named = () if in_force is None else lanes_of(in_force.payload)
    for lane in sorted(set(lanes) - set(named)):
        if (await saved(broker, log.deployment, catalog, lane)).is_over:
            raise SettingsError(
                f"lane {catalog}/{lane} has ended and all that it said is closed: it goes on when 'm0 catalog set "
                f"{catalog}' names a group of it again, and needs no new life"
            )
    given: dict[bytes, int] = {}
    for lane in named:
        known = await saved(broker, log.deployment, catalog, lane)
        own = known.runner(log.lives.newest(catalog, lane), in_force)
        chosen = release if release is not None and lane in lanes else own
        if chosen is not None:
            given.setdefault(chosen, lane)
    if len(given) > 1:
        (one, first), (other, second), *_ = given.items()
        raise SettingsError(
            f"lane {catalog}/{first} would have release {one.hex()} and lane {catalog}/{second} {other.hex()}, and a "
            "catalog whose lanes are of two releases closes no epochs: leave --partition out and give --release HASH, "
            "so that all get the same one"
        )


async def plan_anew(broker: Broker, log: CatalogLog, catalog: str, partition: int, release: bytes) -> RebasePlan:
    """The rebase of a lane that nobody has ever saved: from the beginning of the log, which has been read.

    Raises SettingsError when the log has no such partition; Unavailable.
    """
    life = Saved(catalog, partition, [], []).life_behind(log.lives.newest(catalog, partition))
    begin = await _begin(broker, partition)
    return _anew(catalog, partition, life, release, begin, log.control.in_force(catalog))


def _anew(
    catalog: str, partition: int, life: int, release: bytes, begin: int, in_force: DefinedSet | None
) -> RebasePlan:
    payload = RebasePayload(catalog, partition, life, 0, release.hex(), (ZERO.hex(),) * 3, begin)
    number = "the first generation" if in_force is None else f"generation {in_force.payload.generation}"
    lost = f", which has lost what was before offset {begin}: it goes on with {number}" if begin else ""
    return _behind(RebasePlan(payload, f"the beginning of the log{lost}"), in_force, gap=begin > 0)


def _behind(plan: RebasePlan, in_force: DefinedSet | None, *, gap: bool) -> RebasePlan:
    """The plan with the set in force. Behind a gap the lane may have lost the record of it."""
    if in_force is None:
        return plan._replace(payload=replace(plan.payload, gap=gap))
    named = NextGeneration(in_force.payload.generation, in_force.hash.hex())
    is_lost = gap and plan.payload.partition in in_force.lanes
    return plan._replace(
        payload=replace(plan.payload, gap=gap, in_force=named, in_force_lanes=in_force.lanes),
        again=in_force.value if is_lost else None,
    )


def _from_marker(
    catalog: str,
    partition: int,
    life: int,
    release: bytes,
    states: Sequence[Restored],
    begin: int,
    in_force: DefinedSet | None,
) -> RebasePlan:
    first, second, third = (found.manifest.digest.hex() for found in states)
    marker = states[0].manifest
    behind, epoch_id = marker.input_offset + 1, marker.epoch_id
    assert epoch_id is not None
    payload = RebasePayload(
        catalog, partition, life, epoch_id, release.hex(), (first, second, third), max(begin, behind)
    )
    gap = begin > behind
    lost = f", without the events from offset {behind} to {begin}, which are gone" if gap else ""
    return _behind(RebasePlan(payload, f"the marker of epoch {epoch_id}{lost}"), in_force, gap=gap)


async def _chosen(
    broker: Broker, known: Saved, from_epoch: int | None, unread: Unread
) -> tuple[list[Restored] | None, str | None]:
    """The states to go on from, and what is not read of newer ones. What one release wrote is of one shape: where the
    newest of its states is not read, its older ones are not tried.
    """
    why: str | None = None
    foreign: set[bytes] = set()
    at: dict[int, list[Manifest]] = {}
    for manifest in known.lane:
        if manifest.epoch_id is not None:
            at.setdefault(manifest.epoch_id, []).append(manifest)
    for epoch_id, found in sorted(at.items(), reverse=True):
        if (from_epoch is not None and epoch_id != from_epoch) or (
            known.closed is not None and epoch_id > known.closed
        ):
            continue
        if {m.release for m in found} <= foreign:
            continue
        states = await _states(broker, found)
        if states is None:
            continue
        problem = unread(states)
        if problem is None:
            return states, why
        why = why or problem
        foreign |= {state.manifest.release for state in states}
    return None, why


async def _states(broker: Broker, at: Sequence[Manifest]) -> list[Restored] | None:
    """The states of stages 1 to 3 among the manifests of an epoch, of one life; None when one does not restore."""
    for life in sorted({m.life for m in at}, reverse=True):
        mine = [m for m in at if m.life == life]
        found = await restore_newest(broker, mine, gathered)
        if len(found) == len(LANE_STAGES):
            return found
    return None


async def _begin(broker: Broker, partition: int) -> int:
    count = await broker.partitions(RAW.name)
    if partition >= count:
        raise SettingsError(f"there is no partition {partition}: {RAW.name} has {count}, counted from 0")
    return (await raw_begins(broker, [partition]))[partition]


async def write_rebases(broker: Broker, key: ControlKey, plans: Iterable[RebasePlan], clock: Clock) -> None:
    """Write rebases with the key's signature and certificates, each into its lane's partition.

    Raises SettingsError, with nothing written, when a lane would refuse one; Unavailable.
    """
    now_ms = clock.now_ms()
    messages = []
    for plan in plans:
        payload = replace(plan.payload, certificates=key.certificates)
        name = f"{payload.catalog}:{payload.partition}:{payload.life}"
        if plan.again is not None:
            messages.append(Produce(RAW.name, payload.partition, None, plan.again))
        event = raw_event(CONTROL, name, "", None, REBASE, now_ms, now_ms, payload)
        # no key: it concerns a whole lane, and the partition is given
        messages.append(Produce(RAW.name, payload.partition, None, control_value(event, key)))
    producer = broker.producer()
    await producer.start()
    try:
        await producer.send(messages)
    finally:
        await producer.stop()
