"""The stage loop: poll a batch, step each message, write the outputs, write the checkpoints, commit the offsets.

What it promises, whatever dies at whatever moment:

- offsets and checkpoints never run ahead of the outputs: outputs are acknowledged, then checkpoints, then offsets;
- a restart begins at the checkpoints (not at the committed offsets, which only say how far a stage has come) and
  repeats byte for byte what it wrote after them;
- no message is skipped: one that cannot be processed becomes a dead letter, too many of them stop the stage, and so
  does a hole in a lane;
- one task does everything, so that no lock is needed: callbacks of a rebalance run between two batches.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from m0common.errors import DeadLetterError, LaneHole, Unavailable
from m0common.messages import Checkpoint
from m0common.settings import Stage
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.checkpoints import checkpoint_message, load_latest
from m0common.stream.core import CHECKPOINT_TOPIC, StageCore
from m0common.stream.deadletters import TooManyDeadLetters, dead_letter
from m0common.stream.lanes import BEFORE_FIRST_EPOCH
from m0common.stream.metrics import StageMetrics
from m0common.stream.records import Output, Produce, Record, Save
from m0common.stream.rhythm import Rhythm
from m0common.stream.worker import Worker
from m0common.telemetry.logs import logger
from m0common.telemetry.traces import inject, span, tracing

log = logger(__name__)

SLICE_S = 0.05
"""After so much work the event loop gets a turn, for heartbeats and the health server."""
SLICE_RECORDS = 32
"""So often the time is looked at."""
LAG_INTERVAL_S = 5.0
DRAIN_POLL_MS = 100


@runtime_checkable
class CountsLateEvents(Protocol):
    """A core that counts the late events its lanes have seen since it was made."""

    @property
    def late_events(self) -> int: ...


@dataclass(slots=True)
class _Batch:
    """What a batch of records came to."""

    outputs: list[Produce] = field(default_factory=list)
    letters: int = 0
    checkpoints: list[Checkpoint] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)
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
        self._rhythm = Rhythm()
        self._drained: set[int] = set()
        self._drain_until_s: float | None = None
        self._next_lag_s = 0.0
        self._checkpoint_partitions = 1
        self._late_events = 0

    async def run(self) -> None:
        """See Worker. Raises LaneHole when a lane misses a message, or what a broken transition raises."""
        try:
            await super().run()
        except LaneHole as error:
            self._metrics.lane_holes.inc()
            self._halted = str(error)
            log.error("lane_hole", stage=self._name, reason=str(error))  # noqa: TRY400 - the reason says it all
            raise

    async def _open(self) -> None:
        self._checkpoint_partitions = await self._retry.run(lambda: self._broker.partitions(CHECKPOINT_TOPIC))
        topics = [self._core.input_topic]
        await self._retry.run(lambda: self._consumer.subscribe(topics, self._on_assigned, self._on_revoked))

    async def _process(self, records: Sequence[Record]) -> None:
        batch = _Batch()
        await self._step(records, batch)
        if batch.outputs:
            await self._retry.run(lambda: self._producer.send(batch.outputs))
            self._metrics.messages_out.inc(len(batch.outputs) - batch.letters)
        await self._save(batch.checkpoints)
        self._positions |= {self._where(partition): offset for partition, offset in batch.positions.items()}
        self._dirty = True
        if batch.stop is not None:
            await self._commit()
            raise batch.stop

    async def _save(self, checkpoints: Sequence[Checkpoint]) -> None:
        if checkpoints:
            saves = [checkpoint_message(checkpoint, self._checkpoint_partitions) for checkpoint in checkpoints]
            await self._retry.run(lambda: self._producer.send(saves))
            self._metrics.checkpoints.inc(len(saves))

    async def _step(self, records: Sequence[Record], batch: _Batch) -> None:
        """Feed records to the core until one of them stops the stage."""
        loop = asyncio.get_running_loop()
        turn_s = loop.time() + SLICE_S
        for start in range(0, len(records), SLICE_RECORDS):
            self._feed(records[start : start + SLICE_RECORDS], batch)
            if batch.stop is not None:
                break
            if loop.time() > turn_s:
                self._watchdog.beat()
                await asyncio.sleep(0)
                turn_s = loop.time() + SLICE_S
        self._metrics.messages_in.inc(len(records))

    def _feed(self, records: Sequence[Record], batch: _Batch) -> None:
        feed = self._traced_feed if tracing() else self._core.feed
        drained, positions, outputs = self._drained, batch.positions, batch.outputs
        good = 0
        for record in records:
            if drained and record.partition in drained:
                continue
            try:
                produced = feed(record)
            except DeadLetterError as error:
                self._limit.good(good)
                good = 0
                try:
                    self._limit.bad()
                except TooManyDeadLetters as too_many:
                    batch.stop = TooManyDeadLetters(f"{too_many}; the last one is {_place(record)}: {error}")
                    break
                outputs.append(dead_letter(self._name, record, error))
                batch.letters += 1
                self._metrics.dead_letter(error.error)
                if batch.letters == 1:
                    log.warning("dead_letter", stage=self._name, origin=_place(record), reason=str(error))
            except LaneHole as error:
                batch.stop = error
                break
            except Exception as error:  # whatever it is, the work before it must not be lost
                log.exception("step_failed", stage=self._name, origin=_place(record))
                batch.stop = error
                break
            else:
                good += 1
                for output in produced:
                    if isinstance(output, Save):
                        self._saved(output, batch)
                    else:
                        outputs.append(output)
            positions[record.partition] = record.offset + 1
        self._limit.good(good)

    def _traced_feed(self, record: Record) -> list[Output]:
        with span(f"{self._name} step", record.headers):
            return self._core.feed(record._replace(headers=inject(record.headers)))

    def _saved(self, save: Save, batch: _Batch) -> None:
        checkpoint = save.checkpoint
        batch.checkpoints.append(checkpoint)
        if checkpoint.epoch_id == BEFORE_FIRST_EPOCH:
            return
        now_s = asyncio.get_running_loop().time()
        self._rhythm.marker(checkpoint.partition, checkpoint.catalog, now_s)
        if self._drain_until_s is not None:
            self._drain_if_due(checkpoint.partition, now_s, self._drain_until_s - now_s)

    async def _look_after(self) -> None:
        """Commit and measure from time to time."""
        await super()._look_after()
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._next_lag_s:
            self._next_lag_s = now_s + LAG_INTERVAL_S
            await self._measure()

    async def _measure(self) -> None:
        """Lag, late events, and whether the broker is there at all when nothing else asks it."""
        try:
            ends = await self._consumer.end_offsets(list(self._positions))
        except Unavailable as error:
            self._retry.failed(error)
            return
        self._retry.succeeded()
        for where, end in ends.items():
            if where in self._positions:
                behind = max(0, end - self._positions[where])
                self._metrics.lag(where.topic, where.partition, behind)
        if isinstance(self._core, CountsLateEvents):
            late = self._core.late_events
            self._metrics.late_events.inc(max(0, late - self._late_events))
            self._late_events = late

    async def _on_assigned(self, partitions: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        checkpoints = await load_latest(self._broker, self._core.stage, [where.partition for where in partitions])
        begins = await self._consumer.begin_offsets(sorted(partitions))
        ends = await self._consumer.end_offsets(sorted(partitions))
        starts: dict[TopicPartition, int] = {}
        for where in sorted(partitions):
            self._core.release(where.partition)
            offset = self._core.resume(where.partition, checkpoints)
            starts[where] = begins[where] if offset is None else offset
            if not begins[where] <= starts[where] <= ends[where]:
                raise LaneHole(
                    f"{self._name}: the checkpoints of {where.topic}/{where.partition} go on at {starts[where]}, "
                    f"but the log holds {begins[where]} to {ends[where]}: messages are missing; restore the topic",
                )
        self._positions.update(starts)
        self._joined = True
        self._metrics.rebalances.inc()
        log.info("assigned", stage=self._name, starts={str(w.partition): o for w, o in starts.items()})
        return starts

    async def _on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        # it runs between two batches: every output of what was read is acknowledged
        await self._commit()
        for where in sorted(partitions):
            self._core.release(where.partition)
            self._rhythm.release(where.partition)
            self._positions.pop(where, None)
            self._drained.discard(where.partition)
            with contextlib.suppress(KeyError):
                self._metrics.forget_lag(where.topic, where.partition)

    async def _drain(self) -> None:
        """Go on to the next marker of every lane that has one due soon, say that the stop was planned, and commit."""
        loop = asyncio.get_running_loop()
        self._drain_until_s = until_s = loop.time() + self._grace_s
        self._rhythm.start_drain()
        for where in list(self._positions):
            self._drain_if_due(where.partition, loop.time(), self._grace_s)
        while loop.time() < until_s and not {where.partition for where in self._positions} <= self._drained:
            left_ms = max(1, round((until_s - loop.time()) * 1000))
            await self._turn(min(DRAIN_POLL_MS, left_ms))
        partitions = sorted(where.partition for where in self._positions)
        await self._save([save.checkpoint for p in partitions for save in self._core.planned_stop(p)])
        await super()._drain()
        log.info("drained", stage=self._name, positions={str(w.partition): o for w, o in self._positions.items()})

    def _drain_if_due(self, partition: int, now_s: float, grace_s: float) -> None:
        if self._rhythm.drained(partition, now_s, grace_s):
            self._drained.add(partition)
            self._consumer.pause(frozenset({self._where(partition)}))

    def _where(self, partition: int) -> TopicPartition:
        return TopicPartition(self._core.input_topic, partition)


def _place(record: Record) -> str:
    return f"{record.topic}/{record.partition}@{record.offset}"
