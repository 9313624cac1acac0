"""Publishes final epochs and predictions: numbers from the log, each epoch and leaf once."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import msgspec
from m0common.clock import Clock
from m0common.errors import DeadLetterError
from m0common.ids import check_catalog, check_market_id
from m0common.messages import FinalizedEpoch, FinalizedPrediction
from m0common.messages.codec import checked
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.door import check_count, decoded
from m0common.stream.follow import Follower
from m0common.stream.records import Record
from m0common.telemetry.context import traceparent
from m0common.telemetry.traces import epoch_span
from m0common.topics import FINALIZED_EPOCHS, FINALIZED_PREDICTIONS
from m0index import shapes

from m0_realtime import anchors, limits, metrics
from m0_realtime.hub import Hub
from m0_realtime.markets import Markets
from m0_realtime.names import Kind, Name
from m0_realtime.numbering import Anchor, Numbering

_epochs = msgspec.msgpack.Decoder(FinalizedEpoch)
_predictions = msgspec.msgpack.Decoder(FinalizedPrediction)
OnFinal = Callable[[str, int], None]
"""Called with catalog and epoch id when an epoch became final."""


class Finalized:
    """The channels `epochs.<catalog>`, `predictions.<catalog>` and `market.<market_id>`."""

    def __init__(self, broker: Broker, hub: Hub, markets: Markets, clock: Clock, on_final: OnFinal) -> None:
        self._broker = broker
        self._hub = hub
        self._markets = markets
        self._clock = clock
        self._on_final = on_final
        self.follower = Follower.waiting(broker, "realtime-finalized")
        self._numbering: dict[TopicPartition, Numbering] = {}
        self._last_epoch: dict[str, int] = {}
        self._last_leaf: dict[str, tuple[int, int]] = {}
        self._anchored: dict[TopicPartition, int] = {}
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Rebuild from the log, then publish for ever."""
        wheres = await self.follower.places(FINALIZED_EPOCHS.name, FINALIZED_PREDICTIONS.name)
        known = await self.follower.answer(lambda: anchors.read(self._broker))
        await self.follower.open(wheres)
        starts = {}
        for where in wheres:
            anchor = known.get(where)
            starts[where] = start_of(self.follower.begins[where], self.follower.ends[where], anchor)
            self._numbering[where] = Numbering(starts[where], anchor)
            self._anchored[where] = anchor.offset if anchor else 0
        await self._markets.ready.wait()
        await self.follower.go(starts)
        anchored_at = time.monotonic()
        while True:
            self._finish_counting()
            for record in await self.follower.next(limits.BATCH_RECORDS, limits.POLL_MS):
                await self.apply(record)
            if self.ready.is_set() and time.monotonic() - anchored_at >= limits.ANCHOR_EVERY_S:
                await self.write_anchors()
                anchored_at = time.monotonic()

    def _finish_counting(self) -> None:
        if self.ready.is_set() or not self.follower.caught_up:
            return
        for numbering in self._numbering.values():
            self._hub.rebase(numbering.finish())
        self.ready.set()

    async def apply(self, record: Record) -> None:
        """Publish what one record says, unless it was said before."""
        numbering = self._numbering[TopicPartition(record.topic, record.partition)]
        self._hub.rebase(numbering.begin(record.offset))
        try:
            if record.topic == FINALIZED_EPOCHS.name:
                self._epoch(record, numbering)
            else:
                await self._prediction(record, numbering)
        except DeadLetterError as error:
            self.follower.unreadable(record, error)
        numbering.end(record.offset)

    def _epoch(self, record: Record, numbering: Numbering) -> None:
        message = decoded(_epochs, record.value, "not_an_epoch")
        with checked("not_an_epoch"):
            check_catalog(message.catalog)
            check_count("epoch_id", message.epoch_id)
        if message.epoch_id <= self._last_epoch.get(message.catalog, -1):
            metrics.REPEATED.labels(record.topic).inc()
            return
        self._last_epoch[message.catalog] = message.epoch_id
        name, data = Name(Kind.EPOCHS, message.catalog), shapes.encoded(shapes.final_epoch(message))
        with self._span(record, message.catalog, message.epoch_id):
            self._publish(numbering, name, str(message.epoch_id), data, record)
        self._on_final(message.catalog, message.epoch_id)

    async def _prediction(self, record: Record, numbering: Numbering) -> None:
        message = decoded(_predictions, record.value, "not_a_prediction")
        with checked("not_a_prediction"):
            check_catalog(message.catalog)
            check_market_id(message.market_id)
            check_count("epoch_id", message.epoch_id)
        place = (message.epoch_id, message.leaf_index)
        if place <= self._last_leaf.get(message.catalog, (-1, -1)):
            metrics.REPEATED.labels(record.topic).inc()
            return
        outcomes = await self._markets.names(message.market_id)
        with checked("not_a_prediction"):
            data = shapes.encoded(shapes.finalized(message, outcomes))
        self._last_leaf[message.catalog] = place
        is_open = self._markets.is_open(message.market_id)
        name = Name(Kind.PREDICTIONS, message.catalog)
        self._publish(numbering, name, message.market_id, data, record, in_state=is_open)
        self._publish(numbering, Name(Kind.MARKET, message.market_id), message.market_id, data, record)

    def _publish(
        self, numbering: Numbering, name: Name, key: str, data: bytes, record: Record, *, in_state: bool = True
    ) -> None:
        ts_ms = record.append_ms or self._clock.now_ms()
        base, trace = numbering.base_of(name), traceparent(record.headers)
        self._hub.publish(name, key, data, ts_ms, base=base, in_state=in_state, trace=trace)
        numbering.count(name)

    def _span(self, record: Record, catalog: str, epoch_id: int) -> AbstractContextManager[object]:
        """A span for what is new; what is read again after a start was published before."""
        if not self.ready.is_set():
            return nullcontext()
        return epoch_span("realtime publish", catalog, epoch_id, record.headers)

    async def write_anchors(self) -> None:
        """Write down the numbering of partitions that moved since the last time."""
        if not self.ready.is_set():
            return
        made = {
            where: numbering.anchor(*where)
            for where, numbering in self._numbering.items()
            if numbering.next_offset > self._anchored[where]
        }
        if made:
            await anchors.write(self._broker, list(made.values()))
            self._anchored |= {where: anchor.offset for where, anchor in made.items()}

    async def close(self) -> None:
        """Write down where numbering stands and disconnect."""
        await self.write_anchors()
        await self.follower.close()


def start_of(begin: int, end: int, anchor: Anchor | None) -> int:
    """Where to read a partition from: everything, or where an anchor allows it only the latest records."""
    if anchor is None:
        return begin
    return max(begin, min(anchor.offset, end - limits.BACKLOG_RECORDS))
