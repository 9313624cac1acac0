"""The stage loop: poll a batch, step each message, write what was said, then the checkpoints, then commit.

What it promises, whatever dies at whatever moment:

- checkpoints never run ahead of what was said: messages are acknowledged, then state, then manifests, then offsets;
- a restart begins at the newest checkpoint of each lane that restores, and repeats byte for byte what came after it;
- no message is skipped: one that cannot be processed becomes a dead letter; a lane of which too many do is parked
  behind them, as one that misses something is, loudly, and the others go on;
- one task does everything that changes state, so that no lock is needed: callbacks of a rebalance run between batches.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from msgspec.structs import replace

from m0common.errors import OffsetsGone, Unavailable
from m0common.ids import Lane
from m0common.settings import Stage
from m0common.stream.asides import say_asides
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.core import Cut, Letter, Load, Output, Rewind, StageCore
from m0common.stream.deadletters import LaneLimits, dead_letter
from m0common.stream.lane_health import LaneHealth
from m0common.stream.lane_reader import LaneReader, LaneReaders
from m0common.stream.metrics import StageMetrics
from m0common.stream.queries import Queries
from m0common.stream.records import Produce, Record
from m0common.stream.restoring import Restoring
from m0common.stream.saving import Saving
from m0common.stream.turns import Turns
from m0common.stream.worker import Worker
from m0common.tasks import end_task
from m0common.telemetry.logs import logger
from m0common.telemetry.traces import epoch_trace, inject, span, tracing
from m0common.topics import STATE

log = logger(__name__)

SLICE_OUTPUTS = 32
"""So often, in the outputs of one record, it is looked whether a turn of others is due; behind every record anyway."""
SAID_MAX = 10_000
"""So many messages are kept before they are written, in the middle of a record too."""
CUTS_MAX_BYTES = 8 << 20
"""So many bytes of state of checkpoints are kept before they are written, likewise."""
LOOK_INTERVAL_S = 0.1
ADOPT_INTERVAL_S = 1.0
MEASURE_INTERVAL_S = 5.0


@dataclass(slots=True)
class _Batch:
    """What a batch of records came to and is not written yet."""

    said: list[Produce] = field(default_factory=list)
    letters: list[Produce] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    cut_bytes: int = 0
    rewinds: list[Rewind] = field(default_factory=list)
    next_offsets: dict[int, int] = field(default_factory=dict)
    bad: int = 0
    stop: Exception | None = None


class StageLoop(Worker):
    """Runs one StageCore on a broker until it is stopped or must stop."""

    def __init__(
        self,
        core: StageCore,
        broker: Broker,
        settings: Stage | None = None,
        metrics: StageMetrics | None = None,
        *,
        group: str | None = None,
        member: str | None = None,
    ) -> None:
        super().__init__(core.name, broker, settings, metrics, group=group or f"m0-{core.name}", member=member)
        self._core = core
        self._held: frozenset[TopicPartition] = frozenset()
        self._readers = LaneReaders(broker, self._settings.batch_records)
        self._restoring = Restoring(broker, core, self._watchdog.beat)
        self._limits = LaneLimits(self._settings.dead_letter_window, self._settings.dead_letter_max_share)
        self._health = LaneHealth(self._settings.silent_after_ms / 1000, self._settings.behind_after_ms / 1000)
        self._saving = Saving(core.stage, self._producer, self._retry, self._metrics)
        self._queries = Queries(core, broker) if core.queries is not None else None
        self._turns = Turns()
        self._next_look_s = 0.0
        self._next_cut_s = 0.0
        self._next_adopt_s = 0.0
        self._next_measure_s = 0.0
        self._next_asides_s = 0.0
        self._dropped: dict[tuple[str, str], int] = {}

    def ready(self) -> str | None:
        """Readiness check: red when every lane is parked."""
        return self._health.ready(self._core.reports()) or super().ready()

    def notes(self) -> str | None:
        """What is not well although work goes on: see LaneHealth."""
        return self._health.notes(self._core.reports())

    async def run(self) -> None:
        """See Worker. Raises what a broken transition raises."""
        beside = asyncio.create_task(self._queries.run()) if self._queries is not None else None
        self._next_cut_s = asyncio.get_running_loop().time() + self._settings.checkpoint_interval_ms / 1000
        try:
            await super().run()
        finally:
            if beside is not None:
                await end_task(beside)
            await self._readers.end([lane for lane, _ in self._readers.all()])

    async def _open(self) -> None:
        topics = [self._core.input_topic]
        await self._retry.run(lambda: self._consumer.subscribe(topics, self._on_assigned, self._on_revoked))

    # --- work --------------------------------------------------------------------------------------------------------

    async def _turn(self, poll_ms: int) -> None:
        """One poll and what follows from it; lanes with readers of their own are read beside it."""
        try:
            await super()._turn(0 if self._readers else poll_ms)
        except OffsetsGone as error:
            await self._gone(error)
        for lane, reader in self._readers.all():
            await self._catch_up(lane, reader)

    async def _process(self, records: Sequence[Record]) -> None:
        batch = _Batch()
        await self._step(records, batch, None)
        await self._write(batch)
        for rewind in batch.rewinds:
            await self._read_again(rewind)
        self._next_offsets |= {self._where(partition): offset for partition, offset in batch.next_offsets.items()}
        self._dirty = True
        if batch.stop is not None:
            await self._commit()
            raise batch.stop

    async def _write(self, batch: _Batch) -> None:
        """Write what was said, then the checkpoints cut behind it."""
        said = [*batch.said, *batch.letters] if batch.letters else batch.said
        if said:
            await self._retry.send(self._producer, said)
            self._metrics.messages_out.inc(len(batch.said))
        await self._saving.save(batch.cuts)
        for written in (batch.said, batch.letters, batch.cuts):
            written.clear()
        batch.cut_bytes = 0

    async def _step(self, records: Sequence[Record], batch: _Batch, only: Lane | None) -> None:
        """Feed records to the core until one of them stops the stage."""
        feed = self._traced if tracing() else self._core.feed
        said, next_offsets, turns = batch.said, batch.next_offsets, self._turns
        turns.begin()
        for record in records:
            try:
                for count, output in enumerate(feed(record, only), 1):
                    if type(output) is Produce:
                        said.append(output)
                    else:
                        await self._take(output, batch)
                    if count % SLICE_OUTPUTS == 0:
                        await self._breathe(batch)
            except Exception as error:  # whatever it is, the work before it must not be lost
                log.exception("step_failed", stage=self._name, origin=_place(record))
                batch.stop = error
                break
            next_offsets[record.partition] = record.offset + 1
            if monotonic() > turns.until_s:
                await self._breathe(batch)
            if only is not None and batch.rewinds:
                break  # it goes back: what was read behind this is not for now
        self._metrics.messages_in.inc(len(records))

    async def _take(self, output: Output, batch: _Batch) -> None:
        if isinstance(output, Produce):
            batch.said.append(output)
        elif isinstance(output, Cut):
            batch.cuts.append(output)
            batch.cut_bytes += sum(len(value) for value in output.values)
            if batch.cut_bytes >= CUTS_MAX_BYTES:
                await self._write(batch)
        elif isinstance(output, Letter):
            self._letter(output, batch)
        elif isinstance(output, Rewind):
            batch.rewinds.append(output)
        else:
            for more in await self._loaded(output, batch):
                await self._take(more, batch)
                await self._breathe(batch)

    async def _loaded(self, load: Load, batch: _Batch) -> Iterable[Output]:
        # the checkpoint asked for may be one that this batch has cut
        await self._write(batch)
        found = await self._retry.run(lambda: self._restoring.load(load))
        return self._core.loaded(load, found)

    def _letter(self, letter: Letter, batch: _Batch) -> None:
        record, error, taken = letter
        batch.letters.append(dead_letter(self._name, record, error))
        batch.bad += 1
        self._metrics.dead_letter(error.error)
        if batch.bad == 1:
            log.warning("dead_letter", stage=self._name, origin=_place(record), reason=str(error)[:200])
        too_many = None if taken is None else self._limits.bad(taken)
        if taken is not None and too_many is not None:
            last = f"{_place(record)}: {str(error)[:200]}"
            reason = f"{too_many}; the last one is {last}: repair the cause and restart the stage"
            log.error("too_many_dead_letters", stage=self._name, lane=str(tuple(taken.lane)), reason=reason)
            batch.cuts += self._core.park(taken.lane.partition, reason, taken.lane)

    async def _breathe(self, batch: _Batch | None = None) -> None:
        """After enough work, write what there is too much of and give the event loop a turn."""
        if batch is not None and len(batch.said) >= SAID_MAX:
            await self._write(batch)
        if self._turns.due():
            self._watchdog.beat()
            await self._turns.give()

    def _traced(self, record: Record, only: Lane | None) -> list[Output]:
        applied_in = [epoch_trace(*epoch) for epoch in self._core.epochs_of(record)]
        with span(f"{self._name} step", record.headers, links=applied_in):
            return list(self._core.feed(replace(record, headers=inject(record.headers)), only))

    # --- lanes that are read apart -----------------------------------------------------------------------------------

    async def _read_again(self, rewind: Rewind) -> None:
        await self._readers.begin(rewind.lane, self._where(rewind.lane.partition), rewind.offset)
        log.info("lane_read_again", stage=self._name, lane=str(tuple(rewind.lane)), offset=rewind.offset)

    async def _catch_up(self, lane: Lane, reader: LaneReader) -> None:
        try:
            upto = self._next_offsets.get(reader.where) or self._consumer.position(reader.where)
        except KeyError:
            await self._readers.end([lane])  # its partition is gone
            return
        try:
            records = await self._retry.run(lambda: reader.read(upto))
        except OffsetsGone as error:
            await self._readers.end([lane])
            await self._saving.save(self._core.park(lane.partition, str(error), lane))
            return
        batch = _Batch()
        await self._step(records, batch, lane)
        await self._write(batch)
        if batch.rewinds:
            await self._read_again(batch.rewinds[-1])
        elif any(report.lane == lane and report.parked is not None for report in self._core.reports()):
            await self._readers.end([lane])
        elif reader.next >= upto and batch.stop is None:
            await self._readers.end([lane])
            self._core.join(lane)
        if batch.stop is not None:
            raise batch.stop

    async def _gone(self, error: OffsetsGone) -> None:
        """Park the lanes that miss something, and read on: what repairs them comes behind the gap."""
        if (where := TopicPartition(error.topic, error.partition)) not in self._held:
            raise error
        await self._saving.save(self._core.park(error.partition, str(error)))
        self._next_offsets[where] = error.first
        self._consumer.seek(where, error.first)
        log.error("offsets_gone", stage=self._name, partition=error.partition, reason=str(error))

    # --- from time to time -------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Commit, save long epochs, say what changed beside the lanes, measure."""
        await super()._look_after()
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._next_look_s:
            self._next_look_s = now_s + LOOK_INTERVAL_S
            due = now_s >= self._next_cut_s
            if due:
                self._next_cut_s = now_s + self._settings.checkpoint_interval_ms / 1000
            await self._save_lanes(0 if due else self._settings.checkpoint_records)
        if now_s >= self._next_asides_s:
            self._next_asides_s = now_s + self._settings.provisional_interval_ms / 1000
            try:
                send = partial(self._retry.send_once, self._producer)
                await say_asides(self._core, send, self._breathe)
            except Unavailable as error:
                self._retry.failed(error)
        if now_s >= self._next_adopt_s:
            self._next_adopt_s = now_s + ADOPT_INTERVAL_S
            await self._adopt()
        if now_s >= self._next_measure_s:
            self._next_measure_s = now_s + MEASURE_INTERVAL_S
            await self._measure()

    async def _adopt(self) -> None:
        """Look whether a lane that another build ran has come to where this one goes on."""
        lanes = [lane for where in sorted(self._held) for lane in self._core.passes_over(where.partition)]
        if not lanes:
            return
        batch = _Batch()
        new = await self._retry.run(lambda: self._restoring.news(lanes))
        self._health.hear(lanes, new, asyncio.get_running_loop().time())
        for found in await self._retry.run(lambda: self._restoring.adoptable(new)):
            log.info("lane_adopted", stage=self._name, lane=f"{found.manifest.catalog}/{found.manifest.partition}")
            for output in self._core.adopt(found):
                await self._take(output, batch)
        await self._write(batch)
        for rewind in batch.rewinds:
            await self._read_again(rewind)

    async def _save_lanes(self, behind: int) -> None:
        """Save the lanes that took more than `behind` records since they were saved last."""
        cuts: list[Cut] = []
        for where in sorted(self._held):
            cuts += self._core.cuts(where.partition, behind)
            await self._breathe()
        await self._saving.save(cuts)

    async def _measure(self) -> None:
        """Lag, drops, parked lanes, and whether the broker is there at all when nothing else asks it."""
        for place, count in self._core.drops.items():
            self._metrics.drop(*place, count - self._dropped.get(place, 0))
            self._dropped[place] = count
        reports = self._core.reports()
        self._metrics.parked.set(sum(report.parked is not None for report in reports))
        self._metrics.unmanned.set(len(self._health.nobody_runs(reports)))
        try:
            with self._silence.asking("the ends of partitions are asked for"):
                ends = await self._consumer.end_offsets(sorted(self._held))
                await self._hear_of_trims(self._held)
        except Unavailable as error:
            self._retry.failed(error)
            return
        self._retry.succeeded()
        places: dict[int, tuple[int, int]] = {}
        for where, end in ends.items():
            with contextlib.suppress(KeyError):  # it is being handed over
                position = self._consumer.position(where)
                places[where.partition] = position, end
                self._metrics.lag(where.topic, where.partition, max(0, end - position))
        self._health.lags.see(places, asyncio.get_running_loop().time())

    async def _hear_of_trims(self, held: Iterable[TopicPartition]) -> None:
        """What others cut off the states of lanes here; their next checkpoint says what is missing again."""
        state = STATE[self._core.stage].name
        begins = await self._consumer.begin_offsets([TopicPartition(state, where.partition) for where in sorted(held)])
        for where, begin in begins.items():
            self._core.trimmed(where.partition, begin)

    # --- partitions come and go --------------------------------------------------------------------------------------

    async def _on_assigned(self, partitions: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        ordered = sorted(partitions)
        found = await self._restoring.newest([where.partition for where in ordered])
        begins = await self._consumer.begin_offsets(ordered)
        ends = await self._consumer.end_offsets(ordered)
        starts: dict[TopicPartition, int] = {}
        for where in ordered:
            offset = self._core.resume(where.partition, found.restored, begins[where], ends[where], found.lost)
            if offset is not None:
                starts[where] = offset
            self._next_offsets.pop(where, None)
            await self._breathe()
        await self._hear_of_trims(partitions)
        self._held |= partitions
        self._next_offsets |= starts
        self._follow()
        self._has_joined()
        log.info("assigned", stage=self._name, starts={str(w.partition): starts.get(w) for w in ordered})
        return starts

    async def _on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        # it runs between two batches: everything that was said of what was read is acknowledged
        await self._commit()
        self._held -= partitions
        for where in sorted(partitions):
            self._core.forget(where.partition)
            self._next_offsets.pop(where, None)
            with contextlib.suppress(KeyError):
                self._metrics.forget_lag(where.topic, where.partition)
        await self._readers.end_in(partitions)
        self._follow()

    def _follow(self) -> None:
        if self._queries is not None:
            self._queries.follow({where.partition for where in self._held})

    async def _drain(self) -> None:
        """Save every lane as it stands, so that whoever comes next begins here, and commit."""
        await self._save_lanes(0)
        await super()._drain()
        log.info("drained", stage=self._name, next_offsets={str(w.partition): o for w, o in self._next_offsets.items()})

    def _where(self, partition: int) -> TopicPartition:
        return TopicPartition(self._core.input_topic, partition)


def _place(record: Record) -> str:
    return f"{record.topic}/{record.partition}@{record.offset}"
