"""Re-run one epoch of one catalog from `m0.raw` and compare it with what was recorded and finalized.

The same transitions as live, chained in one process. What is read grows with the epoch, not with the log.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from m0common.canonical import BundleHeader
from m0common.errors import InvalidValue, M0Error, SettingsError, nearest
from m0common.messages import HeaderMessage
from m0common.stream.broker import Broker
from m0common.stream.states import manifests
from m0common.topics import MANIFESTS
from m0lanes.stages import Heart

from m0replay.following import NewLife
from m0replay.irreplayable import Irreplayable
from m0replay.mutate import Damaged, damage
from m0replay.plan import Plan, plan
from m0replay.run import Run
from m0replay.trail import first_difference

FinalizedRoot = Callable[[str, int], Awaitable[tuple[bytes, bytes] | None]]
"""`(catalog, epoch_id)` to `(merkle_root, bundle_hash)` finalized on chain; None when that epoch is not final."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What replay found. `difference` is None on a match; `lives` are those of the epoch that began on the way;
    `damaged` is the observation that was damaged on purpose.
    """

    match: bool
    catalog: str
    epoch_id: int
    merkle_root: bytes
    bundle_hash: bytes
    started_from: str
    events: int
    leaves: int
    difference: str | None = None
    lives: tuple[NewLife, ...] = ()
    damaged: Damaged | None = None


async def replay_epoch(
    broker: Broker,
    heart: Heart,
    finalized_root: FinalizedRoot,
    catalog: str,
    epoch_id: int,
    *,
    full: bool = False,
    mutation: str | None = None,
    index: int = 0,
    api_base: str = "",
    lanes_kept: bool = True,
) -> Verdict:
    """From the checkpoint before the epoch; from the beginning when `full`, or when no checkpoint is left.

    `mutation` damages observation number `index` of the epoch first, see m0replay.mutate. Where the log does not keep
    what the stages said (`lanes_kept`), a difference is told by the header alone. Raises Irreplayable where
    what it reads is not to be had; M0Error for an epoch that is not final, naming the API (`api_base`, a URL) that
    lists those that are.
    """
    final = await finalized_root(catalog, epoch_id)
    if final is None:
        await _check_known(broker, catalog)
        raise M0Error(
            f"epoch {epoch_id} of {catalog} is not finalized on chain: "
            f"see {api_base.rstrip('/')}/v1/epochs?catalog={catalog}&status=finalized for those that are",
        )
    made = await plan(broker, heart, catalog, epoch_id, full=full)
    run = Run(broker, heart, catalog, epoch_id, made)
    await run.run()
    if run.gone and (run.closed is None or (made.checkpoint is None and run.closing != final)):
        raise Irreplayable(_gone(made, run, catalog, epoch_id, full=full))
    damaged = None
    if mutation is not None:
        targets = run.trail.observations()
        if not targets:
            raise InvalidValue(
                f"epoch {epoch_id} of {catalog} applied no observation (openings, closings and markers are not "
                "damaged): take another epoch"
            )
        resumed = {s.manifest.partition: s.manifest.input_offset for s in made.states if s.manifest.stage == 1}
        resumed |= {life.lane.partition: life.input_offset for life in run.begun}
        done = await damage(broker, mutation, targets, index, resumed)
        damaged = done.done
        run = Run(broker, heart, catalog, epoch_id, made, done)
        await run.run()
    started = "the beginning of the log" if made.checkpoint is None else f"the checkpoint of epoch {made.checkpoint}"
    if run.closed is None:
        lost = (await first_difference(broker, run.trail) if lanes_kept else None) or _never_closed(run)
        return Verdict(False, catalog, epoch_id, bytes(32), bytes(32), started, run.events, 0, lost, damaged=damaged)
    header = BundleHeader.decode(run.closed.header.header)
    lives = {(lane.partition, lane.life) for lane in run.closed.header.lanes}
    why = None
    if (header.merkle_root, header.bundle_hash) != final:
        why = (await first_difference(broker, run.trail) if lanes_kept else None) or _header_difference(
            made.recorded, header
        )
    return Verdict(
        why is None,
        catalog,
        epoch_id,
        header.merkle_root,
        header.bundle_hash,
        started,
        run.events,
        len(run.closed.leaves),
        why,
        tuple(life for life in run.begun if (life.lane.partition, life.life) in lives),
        damaged,
    )


async def _check_known(broker: Broker, catalog: str) -> None:
    """Raises SettingsError for a catalog of which no lane has ever been saved."""
    known = {manifest.catalog for manifest in await manifests(broker, range(await broker.partitions(MANIFESTS.name)))}
    if catalog not in known:
        raise SettingsError(f"the log has no lane of catalog {catalog}{nearest(catalog, sorted(known))}")


def _gone(made: Plan, run: Run, catalog: str, epoch_id: int, *, full: bool) -> str:
    partition, begin = min(run.gone.items())
    is_gone = f"m0.raw has nothing left of what lane {catalog}/{partition} read before offset {begin}"
    if made.checkpoint is not None:
        return f"epoch {epoch_id} of {catalog} cannot be computed: {is_gone}: replay an epoch that is not as old"
    otherwise = "replay without FULL=1" if full else "no checkpoint before it is left either"
    return f"epoch {epoch_id} of {catalog} cannot be computed from the beginning of the log: {is_gone}: {otherwise}"


def _never_closed(run: Run) -> str:
    return "replay closes no such epoch" if run.parked is None else f"replay closes no such epoch: {run.parked}"


def _header_difference(recorded: HeaderMessage | None, again: BundleHeader) -> str:
    """The first field of a header in which replay differs from what is recorded."""
    if recorded is None:
        return "no header of this epoch is recorded in m0.headers"
    was = BundleHeader.decode(recorded.header)
    for name in BundleHeader.__dataclass_fields__:
        old, new = getattr(was, name), getattr(again, name)
        if old != new:
            return f"header field {name}: recorded {_show(old)}, replay says {_show(new)}"
    return "the header recorded in m0.headers is not the one finalized on chain"


def _show(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)
