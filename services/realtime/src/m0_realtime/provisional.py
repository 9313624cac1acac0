"""Publishes provisional predictions, conflated: at most one update per market and interval, always the newest."""

import asyncio

import msgspec
from m0common.clock import Clock
from m0common.messages import LaneMessage, Prediction
from m0common.stream.broker import Broker
from m0common.stream.records import Record
from m0common.topics import PREDICTIONS

from m0_realtime import limits, metrics, shapes
from m0_realtime.hub import Hub
from m0_realtime.markets import Markets
from m0_realtime.names import Kind, Name
from m0_realtime.reader import Reader, partitions

_decoder = msgspec.msgpack.Decoder(LaneMessage)


class Provisional:
    """The channels `provisional.<catalog>`."""

    def __init__(self, broker: Broker, hub: Hub, markets: Markets, clock: Clock) -> None:
        self._broker = broker
        self._hub = hub
        self._markets = markets
        self._clock = clock
        self._reader = Reader(broker.consumer())
        self._seen: dict[tuple[str, int], int] = {}
        self._changed: dict[tuple[str, str], Prediction] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Read the newest part of the log, then follow it for ever."""
        wheres = await partitions(self._broker, [PREDICTIONS.name])
        await self._reader.open(wheres)
        begins, ends = self._reader.begins, self._reader.ends
        await self._reader.seek({w: max(begins[w], ends[w] - limits.BACKLOG_PROVISIONAL) for w in wheres})
        await self._markets.ready.wait()
        async for records in self._reader.batches():
            for record in records:
                self.apply(record)

    def apply(self, record: Record) -> None:
        """Note what one record says, unless its lane said it before."""
        try:
            message = _decoder.decode(record.value)
        except msgspec.DecodeError:
            metrics.UNREADABLE.labels(record.topic).inc()
            return
        lane = (message.catalog, message.partition)
        if message.seq <= self._seen.get(lane, 0):
            metrics.REPEATED.labels(record.topic).inc()
            return
        self._seen[lane] = message.seq
        if isinstance(message.body, Prediction) and self._markets.is_open(message.body.market_id):
            self._changed[message.catalog, message.body.market_id] = message.body
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(limits.CONFLATE_S, self.publish)

    def publish(self) -> None:
        """Publish the newest prediction of every market that changed."""
        self._timer = None
        changed, self._changed = self._changed, {}
        now_ms = self._clock.now_ms()
        for (catalog, market_id), prediction in changed.items():
            data = shapes.provisional(catalog, prediction, self._markets.known(market_id))
            self._hub.publish(Name(Kind.PROVISIONAL, catalog), market_id, data, now_ms)

    async def close(self) -> None:
        """Disconnect."""
        if self._timer is not None:
            self._timer.cancel()
        await self._reader.close()
