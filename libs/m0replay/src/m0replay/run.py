"""One pass of a replay over the log: the chained stages, fed until an epoch closes."""

from collections.abc import Iterable
from contextlib import aclosing

from m0common.canonical import BundleHeader
from m0common.errors import OffsetsGone
from m0common.ids import Lane
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.core import Cut, Output, Rewind
from m0common.stream.records import Record
from m0common.topics import RAW
from m0lanes.keeper import Keeper
from m0lanes.pipeline import ClosedEpoch, Pipeline
from m0lanes.stages import Heart

from m0replay.course import Course
from m0replay.following import Following, KeptOrLogged, NewLife, StateGone
from m0replay.irreplayable import Irreplayable
from m0replay.mutate import Damage
from m0replay.plan import Plan
from m0replay.releases import ReleaseWatch
from m0replay.seek import raw_begins, read_from
from m0replay.side_by_side import side_by_side
from m0replay.trail import Trail

KEPT = 256
"""So many checkpoints of a lane are remembered on the way, for lives that begin from them; older ones are in the log,
or gone.
"""

OTHERWISE = "an epoch behind the first of that life has a checkpoint of its own to be replayed from"


class Run:
    """`trail` is what the stages said of the epoch, `closed` the epoch once it is closed, `events` the raw records that
    this took; `damaged` damages one of them on the way.
    """

    def __init__(
        self,
        broker: Broker,
        heart: Heart,
        catalog: str,
        epoch_id: int,
        made: Plan,
        damaged: Damage | None = None,
    ) -> None:
        self.trail = Trail(epoch_id)
        self.closed: ClosedEpoch | None = None
        self.events = 0
        self.gone = dict(made.gone)
        """Lanes of which raw is cut in front of what they go on with, by partition, and where it begins."""
        self._broker = broker
        self._catalog = catalog
        self._epoch_id = epoch_id
        self._made = made
        self._damaged = damaged
        restored = {s.manifest.partition: made.checkpoint for s in made.states if s.manifest.stage == 1}
        self._course = Course(made.lives, {p: at for p, at in restored.items() if at is not None})
        self._watch = ReleaseWatch(heart, self._course)
        self._keeper = Keeper(KEPT)
        self._pipeline = Pipeline(heart, frozenset([catalog]), self._observe, self._course.hears)
        self._following = Following(self._pipeline, KeptOrLogged(self._keeper, broker), self._course, self._watch)
        self._read: dict[int, int] = {}
        """By partition, the offset behind what was read of it."""

    @property
    def begun(self) -> list[NewLife]:
        """The newest lives that lanes have begun on the way."""
        return [life for _, life in sorted(self._following.begun.items())]

    @property
    def closing(self) -> tuple[bytes, bytes] | None:
        """Merkle root and bundle hash of the epoch, None when it is not closed."""
        if self.closed is None:
            return None
        header = BundleHeader.decode(self.closed.header.header)
        return header.merkle_root, header.bundle_hash

    @property
    def parked(self) -> str | None:
        """Why a lane went no further, None when all did."""
        reports = (report for core in self._pipeline.cores for report in core.reports())
        return next((report.parked for report in reports if report.parked is not None), None)

    async def run(self) -> None:
        """Read until the epoch closes, or to the end of what it needs. Raises Irreplayable, Unavailable."""
        try:
            await self._read_on()
        except StateGone as error:
            otherwise = OTHERWISE if self._made.checkpoint is None else "replay with FULL=1"
            raise StateGone(f"{error}: {otherwise}") from error
        except OffsetsGone as error:
            raise Irreplayable(f"m0.raw was cut while it was read: {error}") from error

    async def _read_on(self) -> None:
        starts = await self._start()
        async with aclosing(side_by_side(self._broker, starts, self._course)) as records:
            async for record in records:
                self._read[record.partition] = record.offset + 1
                self._feed(record)
                while self.closed is None and (self._pipeline.loads or self._pipeline.rewinds):
                    self._take(await self._following.answer())
                    for lane, rewind in list(self._pipeline.rewinds.items()):
                        await self._again(lane, rewind)
                if self.closed is not None:
                    return

    async def _start(self) -> dict[int, int]:
        """Restore what there is; returns by partition where to read from."""
        states = self._made.states
        for found in states:
            self._watch.restored(found)
            self._keeper.resume(found)
        starts = {**self._made.starts, **self._pipeline.restore(states)}
        if self._made.checkpoint is None:
            return starts
        # of a lane that no header names from here on nothing is asked, whatever raw still holds of it
        starts = {partition: at for partition, at in starts.items() if partition in self._made.lives}
        lives = {s.manifest.partition: s.manifest.life for s in states if s.manifest.stage == 1}
        for partition, begin in (await raw_begins(self._broker, sorted(starts))).items():
            start = starts[partition]
            if start < begin and self._course.needs(partition, lives.get(partition, 0), self._made.checkpoint):
                raise Irreplayable(
                    f"lane {self._catalog}/{partition} goes on behind epoch {self._made.checkpoint} at offset {start} "
                    f"of m0.raw, which begins at {begin} now: replay an epoch that is not as old"
                )
            if start < begin:
                # nothing that is gone is needed where a rebase lies ahead
                starts[partition] = self.gone[partition] = begin
        return starts

    async def _again(self, lane: Lane, rewind: Rewind) -> None:
        """A lane reads again, alone, up to where its partition is."""
        upto = self._read[lane.partition]
        where = TopicPartition(RAW.name, lane.partition)
        try:
            async with aclosing(read_from(self._broker, where, rewind.offset)) as records:
                async for record in records:
                    if record.offset >= upto:
                        break
                    self._feed(record, lane)
                    if self.closed is not None or self._pipeline.rewinds.get(lane) is not rewind:
                        return
        except OffsetsGone as error:
            raise Irreplayable(
                f"a new life of lane {lane.catalog}/{lane.partition} reads m0.raw from offset {error.wanted} on, which "
                f"holds {error.first} to {error.end}: {OTHERWISE}"
            ) from error
        self._pipeline.join(lane)

    def _feed(self, record: Record, only: Lane | None = None) -> None:
        self.events += 1
        for each in [record] if self._damaged is None else self._damaged.apply(record):
            self._take(self._pipeline.feed(each, only))

    def _take(self, closed: Iterable[ClosedEpoch]) -> None:
        for epoch in closed:
            if epoch.header.epoch_id == self._epoch_id:
                self.closed = epoch

    def _observe(self, stage: str, output: Output) -> None:
        self.trail.observe(stage, output)
        if isinstance(output, Cut):
            manifest = self._keeper.keep(output)
            if not self._watch.runs(manifest):
                self._watch.restored(self._keeper.restored(manifest))
