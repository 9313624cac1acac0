"""One side of before.py: a process that takes the next chunk of a lane through its stages for every line it reads.

Both commits run this very code, so it uses only what they share.
"""

import gc
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import observed
from bare import bare
from m0common.process import tune_gc
from m0common.stream.core import StageCore
from m0common.stream.records import Record

FIRST = 85_000_000
"""The first epoch of every log."""
CHUNK = 250
"""Events between two turns of a side: short beside the moods of a machine."""
PROVISIONAL = "provisional_"
"""What the kinds of messages begin with that decide nothing."""


class Lane(NamedTuple):
    """A new lane: its stages in order, the log of its first epoch, and that of its second, which is measured."""

    cores: Sequence[StageCore]
    head: Sequence[Record]
    events: Sequence[Record]
    marker: Record


class Cost(NamedTuple):
    """What a stage took for a turn, in seconds of CPU, and how many messages of each kind it said."""

    spent_s: float
    bare_s: float
    said: dict[str, int]


class Side(Protocol):
    """One commit's code."""

    def begin(self, domain: str, events: int) -> Lane:
        """A new lane with so many events in its second epoch."""
        ...

    def feed(self, core: StageCore, records: Sequence[Record]) -> tuple[float, list[Record]]:
        """CPU seconds of a stage for these records, and what it said."""
        ...

    def decoder(self, topic: str) -> Callable[[bytes], object]:
        """How the values of a topic are decoded."""
        ...

    def kind(self, record: Record) -> str:
        """What a stage said, by the same names on both sides."""
        ...


def turns(side: Side, domain: str, events: int) -> Iterator[dict[str, Cost]]:
    """The costs by stage of every chunk of the epoch and of its marker, of one new lane after the other, without end.

    The stages work on a chunk one after the other, each on what the one before it said.
    """

    def costs(records: Sequence[Record]) -> Iterator[tuple[str, Cost]]:
        for core in lane.cores:
            spent_s, said = side.feed(core, records)
            yield core.name, Cost(spent_s, bare(records, said, side.decoder), Counter(map(side.kind, said)))
            records = said

    while True:
        lane = side.begin(domain, events)
        dict(costs(lane.head))
        gc.collect()
        for at in range(0, events, CHUNK):
            yield dict(costs(lane.events[at : at + CHUNK]))
        yield dict(costs([lane.marker]))


def serve(side: Side) -> None:
    """Take the turns of the domain, number of events and mix in this process's arguments, until its input ends."""
    observed.results_every = int(sys.argv[3])
    tune_gc()  # as every stage's process does, at both commits
    each = turns(side, sys.argv[1], int(sys.argv[2]))
    for _ in sys.stdin:
        print(json.dumps(next(each)), flush=True)
