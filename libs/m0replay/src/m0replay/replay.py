"""Re-run one epoch of one catalog from `m0.raw` and compare it with what was recorded and finalized.

The same transitions as live, chained in one process. What is read grows with the epoch, not with the log.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from m0common.canonical import BundleHeader
from m0common.errors import M0Error
from m0common.messages import HeaderMessage
from m0common.stream.broker import Broker
from m0common.stream.core import Cut, Load, Output
from m0lanes.chain import Chain, ClosedEpoch
from m0lanes.stages import Heart

from m0replay.mutate import Damage, damage
from m0replay.plan import Plan, plan
from m0replay.releases import ReleaseWatch
from m0replay.side_by_side import side_by_side
from m0replay.trail import Trail, first_difference

FinalizedRoot = Callable[[str, int], Awaitable[tuple[bytes, bytes] | None]]
"""`(catalog, epoch_id)` to `(merkle_root, bundle_hash)` finalized on chain; None when that epoch is not final."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What replay found. `difference` is None on a match."""

    match: bool
    catalog: str
    epoch_id: int
    merkle_root: bytes
    bundle_hash: bytes
    started_from: str
    events: int
    leaves: int
    difference: str | None = None


@dataclass(slots=True)
class _Run:
    """One pass over the log: what was said, the epoch if it closed, and how many raw records it took."""

    trail: Trail
    closed: ClosedEpoch | None = None
    events: int = 0


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
) -> Verdict:
    """From the checkpoint before the epoch; from the beginning when `full`, or when no checkpoint is left.

    `mutation` damages event number `index` of the epoch first, see m0replay.mutate. Raises M0Error naming what is
    missing when it cannot be done at all.
    """
    final = await finalized_root(catalog, epoch_id)
    if final is None:
        raise M0Error(
            f"epoch {epoch_id} of {catalog} is not finalized on chain: "
            f"see /v1/epochs?catalog={catalog}&status=finalized for those that are",
        )
    made = await plan(broker, heart, catalog, epoch_id, full=full)
    run = await _run(broker, heart, catalog, epoch_id, made, None)
    if mutation is not None:
        resumed = {s.manifest.partition: s.manifest.input_offset for s in made.states if s.manifest.stage == 1}
        done = await damage(broker, mutation, run.trail.observations(), index, resumed)
        run = await _run(broker, heart, catalog, epoch_id, made, done)
    started = "the beginning of the log" if made.checkpoint is None else f"the checkpoint of epoch {made.checkpoint}"
    if run.closed is None:
        lost = await first_difference(broker, run.trail) or _never_closed(made)
        return Verdict(False, catalog, epoch_id, bytes(32), bytes(32), started, run.events, 0, lost)
    header = BundleHeader.decode(run.closed.header.header)
    why = None
    if (header.merkle_root, header.bundle_hash) != final:
        why = await first_difference(broker, run.trail) or _header_difference(made.recorded, header)
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
    )


async def _run(broker: Broker, heart: Heart, catalog: str, epoch_id: int, made: Plan, damaged: Damage | None) -> _Run:
    run, watch = _Run(Trail(epoch_id)), ReleaseWatch(heart, epoch_id)

    def observe(stage: str, output: Output) -> None:
        run.trail.observe(stage, output)
        watch.observe(stage, output)
        if isinstance(output, Cut):
            output.complete(0, 0)  # nothing is kept, but the next one need not say everything again
        elif isinstance(output, Load):
            raise M0Error(
                f"lane {catalog}/{output.lane.partition} was rebased to its epoch {output.epoch_id} between where "
                f"replay begins and epoch {epoch_id}: replay does not follow that; epochs behind the first of the new "
                "life are replayed from their checkpoints"
            )

    watch.restored(made.states)
    chain = Chain(heart, frozenset([catalog]), observe)
    starts = {**made.starts, **chain.restore(made.states)}
    if made.checkpoint is not None:
        run.trail.passed = {p: made.checkpoint for p in starts if p not in made.starts}
        starts = {partition: at for partition, at in starts.items() if partition in made.needed}
    async with aclosing(side_by_side(broker, starts, run.trail.passed, made.needed)) as records:
        async for record in records:
            run.events += 1
            for each in [record] if damaged is None else damaged.apply(record):
                for closed in chain.feed(each):
                    if closed.header.epoch_id == epoch_id:
                        run.closed = closed
                        return run
    return run


def _never_closed(made: Plan) -> str:
    gone = [partition for partition, begin in sorted(made.starts.items()) if begin > 0]
    if made.checkpoint is None and gone:
        return f"replay closes no such epoch: the beginning of m0.raw is gone in partition {gone[0]}"
    return "replay closes no such epoch"


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
