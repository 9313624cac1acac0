"""A small raw log of order books, the way ingest writes it, and what a live pipeline makes of it."""

from m0common.messages import BookPayload, CatalogPayload, EpochEndPayload, MarketOpenPayload, encode_raw, raw_event
from m0common.stream.records import Produce, Record, Save
from m0common.topics import BUNDLES, PREDICTIONS, RAW
from m0lanes.chain import Chain

EPOCH_MS = 20_000
FIRST_EPOCH = 1_700_000_000_000 // EPOCH_MS
BASE_MS = FIRST_EPOCH * EPOCH_MS
PARTITIONS = 2
CRYPTO = CatalogPayload("crypto", EPOCH_MS, 1, "book_consensus", ("btc",), {"stale_ms": 15_000})


class Live:
    """Raw records of `epochs` epochs, with the predictions and bundles of the live stages for them."""

    def __init__(self, epochs: int) -> None:
        self.raw: list[Produce] = []
        self.predictions: list[Produce] = []
        self.checkpoints = []
        self.bundles = []
        self._offsets = [0] * PARTITIONS
        self._count = 0
        self._chain = Chain(observer=self._observe)
        for partition in range(PARTITIONS):
            self._event(partition, "", None, "catalog", BASE_MS, CRYPTO)
        for index in range(epochs):
            self._epoch(index)

    def _observe(self, stage, output) -> None:
        if isinstance(output, Save):
            self.checkpoints.append(output.checkpoint)
        elif output.topic == PREDICTIONS.name:
            self.predictions.append(output._replace(partition=0))

    def _event(self, partition, group, market_id, kind, at_ms, payload) -> None:
        self._count += 1
        value = encode_raw(raw_event("test", f"e{self._count}", group, market_id, kind, at_ms, at_ms + 5, payload))
        self.raw.append(Produce(RAW.name, partition, None, value))
        record = Record(RAW.name, partition, self._offsets[partition], None, value)
        self._offsets[partition] += 1
        self.bundles += self._chain.feed(record)

    def _epoch(self, index: int) -> None:
        at = BASE_MS + index * EPOCH_MS
        self._event(1, "btc", f"BTC_{index}", "market_open", at, MarketOpenPayload("crypto", ("UP", "DOWN"), 1, at))
        for step in range(3):
            bid = 400_000_000 + 50_000_000 * ((index + step) % 4)
            book = BookPayload(((bid, 900_000), (bid - 10_000_000, 500_000)), ((bid + 20_000_000, 700_000),), at)
            self._event(1, "btc", f"BTC_{index}", "book", at + 1000 * (step + 1), book)
        end = EpochEndPayload("crypto", FIRST_EPOCH + index, at, at + EPOCH_MS, PARTITIONS)
        for partition in range(PARTITIONS):
            self._event(partition, "", None, "epoch_end", at + EPOCH_MS, end)

    def bundle_messages(self) -> list[Produce]:
        from m0common.messages import encode

        return [Produce(BUNDLES.name, 0, b"crypto", encode(b)) for b in self.bundles]
