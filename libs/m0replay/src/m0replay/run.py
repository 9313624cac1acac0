"""One pass of a replay over the log: the chained stages, fed until an epoch closes."""

from collections.abc import Iterable
from contextlib import aclosing

from m0common.errors import M0Error, OffsetsGone
from m0common.ids import Lane
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.core import Cut, Output, Rewind
from m0common.stream.follow import bounds
from m0common.stream.records import Record
from m0common.topics import RAW
from m0lanes.keeper import Keeper
from m0lanes.pipeline import ClosedEpoch, Pipeline
from m0lanes.stages import Heart

from m0replay.course import Course
from m0replay.following import Following, KeptOrLogged, NewLife, StateGone
from m0replay.mutate import Damage
from m0replay.plan import Plan
from m0replay.releases import ReleaseWatch
from m0replay.seek import read_from
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
    def parked(self) -> str | None:
        """Why a lane went no further, None when all did."""
        reports = (report for core in self._pipeline.cores for report in core.reports())
        return next((report.parked for report in reports if report.parked is not None), None)

    async def run(self) -> None:
        """Read until the epoch closes, or to the end of what it needs. Raises M0Error naming what is missing."""
        try:
            await self._read_on()
        except StateGone as error:
            otherwise = OTHERWISE if self._made.checkpoint is None else "replay with FULL=1"
            raise M0Error(f"{error}: {otherwise}") from error

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
        lives = {s.manifest.partition: s.manifest.life for s in states if s.manifest.stage == 1}
        named = lives.keys() & starts.keys() & self._made.lives.keys()
        for partition, begin in (await _begins(self._broker, named)).items():
            start = starts[partition]
            if start < begin and self._course.needs(partition, lives[partition], self._made.checkpoint):
                raise M0Error(
                    f"lane {self._catalog}/{partition} goes on from its checkpoint of epoch {self._made.checkpoint} at "
                    f"offset {start} of m0.raw, which begins at {begin} now: replay an epoch that is not as old"
                )
            # else a rebase lies ahead, and nothing that is gone is needed
            starts[partition] = max(start, begin)
        return {partition: at for partition, at in starts.items() if partition in self._made.lives}

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
            raise M0Error(
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


async def _begins(broker: Broker, partitions: Iterable[int]) -> dict[int, int]:
    """Where raw begins in these partitions."""
    begins = (await bounds(broker, [TopicPartition(RAW.name, partition) for partition in sorted(partitions)])).begins
    return {where.partition: at for where, at in begins.items()}
