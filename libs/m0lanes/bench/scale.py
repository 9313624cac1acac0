"""What an epoch costs by the number of markets: memory, the closing marker, the tree and every proof, in one run.

    python libs/m0lanes/bench/scale.py [MARKETS ...]

The four stages run chained, as in replay, on one lane of order books with one event per market and epoch. Cost per
market should not grow with their number: the last column compares it with the first line's.
"""

import sys
import time
import tracemalloc

from m0common.canonical import MerkleTree, leaf_hash
from m0common.stream.records import Record
from m0lanes.pipeline import Pipeline
from raw_log import RawLog, heart


class Lane:
    """A pipeline and the log it reads, with so many markets, one epoch old."""

    def __init__(self, markets: int) -> None:
        installed = heart()
        self.leaves: tuple[bytes, ...] = ()
        self._pipeline = Pipeline(installed)
        self._log = RawLog(installed, "crypto", first=85_000_000)
        self._markets = markets
        for record in [*self._log.begin(), *self._log.open(markets)]:
            self._feed(record)
        self.epoch(0)

    def _feed(self, record: Record) -> None:
        for closed in self._pipeline.feed(record):
            self.leaves = closed.leaves

    def epoch(self, number: int) -> float:
        """A book for every market; returns the seconds that the marker took."""
        for record in self._log.events(self._markets, self._markets, number):
            self._feed(record)
        marker = self._log.end(number)
        since = time.process_time()
        self._feed(marker)
        return time.process_time() - since


def memory(markets: int) -> int:
    """Bytes that the lane's state keeps."""
    tracemalloc.start()
    lane = Lane(markets)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return kept if lane.leaves else 0


def main() -> None:
    """One line per number of markets."""
    first: list[float] = []
    print("markets   KB/market   marker us/market   tree us/leaf   all proofs us/leaf   beside the first line")
    for markets in [int(argument) for argument in sys.argv[1:]] or [100, 1000, 10_000]:
        lane = Lane(markets)
        marker_s = min(lane.epoch(number) for number in (1, 2, 3))
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
