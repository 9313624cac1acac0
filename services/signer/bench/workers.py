"""How much sooner N workers are done with a log than one, and what of the work is the desk's, in one run.

    python services/signer/bench/workers.py [EVENTS] [ROUNDS] [WORKERS ...]

As many lanes of every domain, each in a partition of its own, no broker. Every round runs every number of workers; the
medians are shown. Where cores are shared with others the clock says little: then the CPU time of the busiest process
says how much sooner it would be done. The desk's CPU per record bounds how many workers are of use, however many cores
there are; reading the topic comes on top of it.
"""

import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import uvloop
from m0_signer.closing import Closing
from m0_signer.workers.crew import Crew
from m0_signer.workers.link import ProcessLink, launch_process
from m0_signer.workers.wire import Begin, Said, Saved
from m0common.stream.records import Record

sys.path.insert(0, str(Path(__file__).parents[3] / "libs/m0lanes/bench"))

from raw_log import RawLog, heart

LANES = 4
MARKETS = 50
BATCH = 500
"""As the reader of m0.raw takes them."""
HEART = heart(LANES)


def log(events: int) -> tuple[list[str], list[Record], list[Record]]:
    """Catalogs, the beginning of their lanes, and so many events of each with the marker behind them, interleaved."""
    domains = sorted(found.name for found in HEART.domains.values())
    lanes = [RawLog(HEART, domains[lane * len(domains) // LANES], 85_000_000, lane) for lane in range(LANES)]
    head = [r for lane in lanes for r in (*lane.begin(), *lane.open(MARKETS), *lane.events(200, MARKETS), lane.end())]
    rest = [[*lane.events(events, MARKETS, 1), lane.end(1)] for lane in lanes]
    return [lane.catalog for lane in lanes], head, [record for turn in zip(*rest, strict=True) for record in turn]


class Took(NamedTuple):
    """Seconds by the clock, and of CPU: of this process, and of the worker that took most."""

    clock: float
    desk: float
    worker: float

    @property
    def path(self) -> float:
        """What cannot be done at the same time."""
        return max(self.desk, self.worker)


class Run:
    """A crew beside a bundle stage, as a signer has them."""

    def __init__(self, crew: Crew, workers: list[psutil.Process]) -> None:
        self.crew = crew
        self._workers = workers
        self._closing = Closing(HEART)

    def _spent(self) -> list[float]:
        return [sum(worker.cpu_times()[:2]) for worker in self._workers]

    async def work(self, records: list[Record]) -> Took:
        """Until all of it is done."""
        since, cpu, spent = time.perf_counter(), time.process_time(), self._spent()
        for first in range(0, len(records), BATCH):
            for record in records[first : first + BATCH]:
                self.crew.feed(record)
                while self.crew.is_full:
                    await self._receive()
            self.crew.flush()
            while self.crew.has_said:
                await self._receive()
        while self.crew.works:
            await self._receive()
        worker = max(now - then for now, then in zip(self._spent(), spent, strict=True))
        return Took(time.perf_counter() - since, time.process_time() - cpu, worker)

    async def _receive(self) -> None:
        _, message = await self.crew.receive()
        if isinstance(message, Said):
            for said in message.messages:
                for _ in self._closing.feed(said):
                    pass

    async def save(self) -> None:
        """Take in what the lanes hand over."""
        _, missing = self.crew.save()
        while missing:
            _, message = await self.crew.receive()
            missing -= isinstance(message, Saved)


async def run(workers: int, catalogs: list[str], head: list[Record], records: list[Record]) -> Took:
    """See Run.work, once the lanes have begun."""
    deployment = HEART.deployment
    begin = Begin(deployment.genesis_hash, deployment.control_key, LANES, tuple(sorted(catalogs)))
    started: list[psutil.Process] = []

    async def launch() -> ProcessLink:
        link = await launch_process()
        started.append(psutil.Process(link.pid))
        return link

    crew = await Crew.start(launch, workers, begin, HEART.build)
    try:
        one = Run(crew, started)
        await one.work(head)
        await one.save()
        return await one.work(records)
    finally:
        await crew.stop()


async def bench(events: int, rounds: int, counts: list[int]) -> None:
    """Print all of it."""
    catalogs, head, records = log(events)
    found = [{count: await run(count, catalogs, head, records) for count in [1, *counts]} for _ in range(rounds)]
    alone_us = median(each[1].worker for each in found) / len(records) * 1e6
    print(
        f"{LANES} lanes, {len(records)} records, medians of {rounds}; one worker: {alone_us:.1f} us of CPU per record"
    )
    for count in counts:
        clock = median(each[1].clock / each[count].clock for each in found)
        path = median(each[1].path / each[count].path for each in found)
        desk_us = median(each[count].desk for each in found) / len(records) * 1e6
        print(
            f"{count} workers: done {clock:.2f} times as soon by the clock, {path:.2f} by CPU of the busiest process; "
            f"the desk: {desk_us:.1f} us of CPU a record"
        )


def main() -> None:
    """Measure."""
    arguments = [int(argument) for argument in sys.argv[1:]]
    events, rounds = [*arguments[:2], *(10_000, 5)[len(arguments[:2]) :]]
    uvloop.run(bench(events, rounds, arguments[2:] or [2, 4]))


if __name__ == "__main__":
    main()
