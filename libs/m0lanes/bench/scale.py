"""What an epoch costs by the number of markets: memory, the closing marker, the tree and every proof, in one run.

    python libs/m0lanes/bench/scale.py [MARKETS ...]

The four stages run chained, as in replay, on one lane of order books with one event per market and epoch. Cost per
market should not grow with their number: the last column compares it with the first line's.
"""

import sys
import time
import tracemalloc

from m0common.canonical import MerkleTree, leaf_hash
from m0common.messages import BookPayload, CatalogPayload, EpochEndPayload, MarketOpenPayload, encode_raw, raw_event
from m0common.stream.records import Record
from m0lanes.chain import Chain

EPOCH_MS = 20_000
FIRST_EPOCH = 85_000_000


class Lane:
    """A chain and the log it reads."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.leaves: tuple[bytes, ...] = ()
        self._offset = 0

    def feed(self, kind: str, market_id: str | None, at_ms: int, payload: object) -> None:
        """One raw event through all stages."""
        group = "btc" if market_id else ""
        event = raw_event("bench", str(self._offset), group, market_id, kind, at_ms, at_ms, payload)
        for bundle in self.chain.feed(Record("m0.raw.v1", 0, self._offset, None, encode_raw(event))):
            self.leaves = bundle.leaves
        self._offset += 1

    def epoch(self, number: int, markets: int) -> float:
        """A book for every market; returns the seconds that the marker took."""
        start_ms = (FIRST_EPOCH + number) * EPOCH_MS
        for n in range(markets):
            bid = 400_000_000 + (n * 7919 + number * 104_729) % 100_000_000
            book = BookPayload(((bid, 900_000),), ((bid + 20_000_000, 700_000),), start_ms)
            self.feed("book", f"BTC_{n}", start_ms + 1000, book)
        end = EpochEndPayload("crypto", FIRST_EPOCH + number, start_ms, start_ms + EPOCH_MS, 1)
        since = time.process_time()
        self.feed("epoch_end", None, start_ms + EPOCH_MS, end)
        return time.process_time() - since


def opened(markets: int) -> Lane:
    """A lane with so many markets, two epochs old."""
    lane = Lane()
    lane.feed("catalog", None, 0, CatalogPayload("crypto", EPOCH_MS, 1, "book_consensus", ("btc",), {}))
    for n in range(markets):
        lane.feed("market_open", f"BTC_{n}", 0, MarketOpenPayload("crypto", ("UP", "DOWN"), 1, 0))
    lane.epoch(0, markets)
    return lane


def memory(markets: int) -> int:
    """Bytes that the lane's state keeps, its last checkpoints included."""
    tracemalloc.start()
    lane = opened(markets)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return kept if lane.leaves else 0


def main() -> None:
    """One line per number of markets."""
    first: list[float] = []
    print("markets   KB/market   marker us/market   tree us/leaf   all proofs us/leaf   beside the first line")
    for markets in [int(argument) for argument in sys.argv[1:]] or [100, 1000, 10_000]:
        lane = opened(markets)
        marker_s = min(lane.epoch(number, markets) for number in (1, 2, 3))
        since = time.process_time()
        tree = MerkleTree([leaf_hash(leaf) for leaf in lane.leaves])
        built = time.process_time()
        paths = [tree.path(index) for index in range(len(lane.leaves))]
        proved = time.process_time()
        costs = [memory(markets), marker_s * 1e6, (built - since) * 1e6, (proved - built) * 1e6]
        per_market = [cost / len(paths) for cost in costs]
        first = first or per_market
        ratios = " ".join(f"{now / then:.2f}" for now, then in zip(per_market, first, strict=True))
        kib, marker_us, tree_us, proof_us = per_market
        print(f"{markets:7}   {kib / 1024:9.2f}   {marker_us:16.1f}   {tree_us:12.2f}   {proof_us:18.2f}   {ratios}")


if __name__ == "__main__":
    main()
