"""The side of before.py that is commit 8daae07: its own stages, and the observations of raw_log.py in its messages.

It runs with that commit's libraries before this tree's on PYTHONPATH; nothing here can be imported without them. Then
sources were not checked: control records bore no signatures, and observations no sequence numbers.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
from m0common.messages import (
    CatalogPayload,
    EpochEndPayload,
    LaneMessage,
    MarketOpenPayload,
    RawEvent,
    encode,
    encode_raw,
    raw_event,
)
from m0common.stream.core import StageCore
from m0common.stream.records import Produce, Record, Save
from m0common.topics import RAW
from m0lanes.stages import feature_core, model_core, normalize_core
from observed import EPOCH_MS, MARKETS, market, moments, observation
from turns import FIRST, PROVISIONAL, Lane, serve

GROUP = "group-0"
MODELS = {"crypto": "book_consensus", "sports": "football"}
START_MS = FIRST * EPOCH_MS


class Log:
    """As raw_log.py's RawLog."""

    def __init__(self, domain: str) -> None:
        self._domain, self._catalog = domain, f"{domain}-0"
        self._offsets, self._seqs = itertools.count(), itertools.count(1)

    def _record(self, event: RawEvent) -> Record:
        return Record(RAW.name, 0, next(self._offsets), None, encode_raw(event), (), event.event_ms)

    def begin(self) -> Iterator[Record]:
        """The catalog and its markets."""
        catalog = CatalogPayload(self._catalog, EPOCH_MS, 1, MODELS[self._domain], (GROUP,), {})
        yield self._record(raw_event("control", "set", "", None, "catalog", START_MS, START_MS, catalog))
        for number in range(MARKETS):
            name = f"MARKET_{number}"
            outcomes, attributes = market(self._domain, number)
            opened = MarketOpenPayload(self._catalog, outcomes, 1, START_MS, "", attributes)
            yield self._record(raw_event("registry", name, GROUP, name, "market_open", START_MS, START_MS, opened))

    def events(self, count: int, epoch: int = 0) -> Iterator[Record]:
        """So many observations of an epoch. Then a quote's probabilities were in the order of the outcomes."""
        for number, at_ms in enumerate(moments(count, START_MS + epoch * EPOCH_MS)):
            seq = next(self._seqs)
            kind, payload, of_market = observation(self._domain, seq, at_ms)
            if isinstance(by_outcome := payload.get("p_ppb"), dict):
                payload["p_ppb"] = [by_outcome[outcome] for outcome in market(self._domain, number)[0]]
            name = f"MARKET_{number % MARKETS}" if of_market else None
            yield self._record(raw_event("bench", str(seq), GROUP, name, kind, at_ms, at_ms, payload))

    def end(self, epoch: int = 0) -> Record:
        """The marker of an epoch."""
        since_ms = START_MS + epoch * EPOCH_MS
        end_ms = since_ms + EPOCH_MS
        payload = EpochEndPayload(self._catalog, FIRST + epoch, since_ms, end_ms, 1)
        return self._record(raw_event("clock", str(epoch), "", None, "epoch_end", end_ms, end_ms, payload))


class Before:
    """See Side."""

    def __init__(self) -> None:
        self._offsets = itertools.count()
        self._event = msgspec.json.Decoder(RawEvent)
        self._message = msgspec.msgpack.Decoder(LaneMessage)

    def begin(self, domain: str, events: int) -> Lane:
        """See Side."""
        log = Log(domain)
        head = [*log.begin(), *log.events(200), log.end()]
        return Lane((normalize_core(), feature_core(), model_core(1)), head, [*log.events(events, 1)], log.end(1))

    def feed(self, core: StageCore, records: Sequence[Record]) -> tuple[float, list[Record]]:
        """See Side. A checkpoint was encoded by the loop; today its values come encoded."""
        said: list[Produce] = []
        since = time.process_time()
        for record in records:
            for output in core.feed(record):
                if isinstance(output, Produce):
                    said.append(output)
                elif isinstance(output, Save):
                    encode(output.checkpoint)
        spent = time.process_time() - since
        return spent, [Record(p.topic, p.partition, next(self._offsets), p.key, p.value, p.headers) for p in said]

    def decoder(self, topic: str) -> Callable[[bytes], object]:
        """See Side."""
        return self._event.decode if topic == RAW.name else self._message.decode

    def kind(self, record: Record) -> str:
        """See Side. Rows and predictions that were not final went through the lanes."""
        body = self._message.decode(record.value).body
        return ("" if getattr(body, "final", True) else PROVISIONAL) + str(body.__struct_config__.tag)


if __name__ == "__main__":
    serve(Before())
