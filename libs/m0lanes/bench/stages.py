"""What an event costs in each stage, beside a bare decode of what the stage reads and encode of what it says.

    python libs/m0lanes/bench/stages.py [EVENTS] [ROUNDS] [--profile STAGE]

Every installed domain, one lane, no broker. Only the ratios mean something: how many bare codecs a stage costs; and,
behind more results than a full group has pairs, what one of few and of many teams costs, and the marker, which fits.
"""

import cProfile
import pstats
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

import msgspec
from bare import bare
from m0common.messages import LaneMessage, ProvisionalPrediction, ProvisionalRow, RawEvent
from m0common.process import tune_gc
from m0common.stream.core import Cut, StageCore
from m0common.stream.records import Produce, Record
from m0common.topics import PROVISIONAL, PROVISIONAL_ROWS, RAW
from m0quant.football_state import TEAMS_MAX
from observed import MARKETS
from raw_log import RawLog, heart

RESULTS = 6_000
"""More than the pairs of a group that is full."""
DECODERS: dict[str, Callable[[bytes], object]] = {
    RAW.name: msgspec.json.Decoder(RawEvent).decode,
    PROVISIONAL_ROWS.name: msgspec.msgpack.Decoder(ProvisionalRow).decode,
    PROVISIONAL.name: msgspec.msgpack.Decoder(ProvisionalPrediction).decode,
}
"""Of the topics that bear no lane messages."""
_decode_message = msgspec.msgpack.Decoder(LaneMessage).decode


def feed(core: StageCore, records: Sequence[Record]) -> tuple[float, list[Record]]:
    """CPU seconds of a stage for these records, and what it said."""
    said: list[Produce] = []
    since = time.process_time()
    for record in records:
        for output in core.feed(record):
            if isinstance(output, Produce):
                said.append(output)
            elif isinstance(output, Cut):
                output.complete(0, 1)
    spent = time.process_time() - since
    return spent, [Record(p.topic, p.partition, n, p.key, p.value, p.headers) for n, p in enumerate(said)]


def decoder(topic: str) -> Callable[[bytes], object]:
    """How the values of a topic are decoded."""
    return DECODERS.get(topic, _decode_message)


def run(domain: str, events: int, profiled: str | None) -> dict[str, tuple[float, float]]:
    """By stage: microseconds per raw event of the stage and of the bare codec."""
    installed = heart()
    log = RawLog(installed, domain, first=85_000_000)
    head = [*log.begin(), *log.open(MARKETS), *log.events(200, MARKETS), log.end()]
    batches = [head, [*log.events(events, MARKETS, 1)], [log.end(1)]]
    found: dict[str, tuple[float, float]] = {}
    for core in (installed.normalize(), installed.feature(), installed.model()):
        profile = cProfile.Profile() if core.name == profiled else None
        out: list[list[Record]] = []
        spent = codec = 0.0
        for number, batch in enumerate(batches):
            if profile is not None and number == 1:
                profile.enable()
            used, said = feed(core, batch)
            if profile is not None:
                profile.disable()
            if number:  # the observations and the marker behind them
                spent += used
                codec += bare(batch, said, decoder)
            out.append(said)
        found[core.name] = (spent / events * 1e6, codec / events * 1e6)
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        batches = out
    return found


def crowd(teams: int) -> tuple[float, float]:
    """Microseconds of the three stages for a result among so many teams, and milliseconds for the marker behind."""
    installed = heart()
    log = RawLog(installed, "sports", first=85_000_000)
    cores = installed.normalize(), installed.feature(), installed.model()
    head = [*log.begin(), *log.open(MARKETS), *log.results(RESULTS, teams), log.end()]
    spent = []
    for records in (head, [*log.results(RESULTS, teams, 1)], [log.end(1)]):
        batch = records
        spent.append(0.0)
        for core in cores:
            used, batch = feed(core, batch)
            spent[-1] += used
    return spent[1] / RESULTS * 1e6, spent[2] * 1e3


def main() -> None:
    """A line for every domain and stage."""
    arguments = [argument for argument in sys.argv[1:] if argument.isdigit()]
    profiled = sys.argv[sys.argv.index("--profile") + 1] if "--profile" in sys.argv else None
    events = int(arguments[0]) if arguments else 10_000
    rounds = int(arguments[1]) if len(arguments) > 1 else 3
    tune_gc()  # as every stage's process does
    print(f"{events} events and their marker, {MARKETS} markets; us of CPU per raw event:")
    for domain in sorted(found.name for found in heart().domains.values()):
        runs = [run(domain, events, profiled) for _ in range(rounds)]
        for stage in runs[0]:
            spent = median(found[stage][0] for found in runs)
            ratio = median(found[stage][0] / found[stage][1] for found in runs)
            print(f"{domain:8} {stage:10} {spent:7.1f}, {ratio:5.1f} of a bare decode and encode")
    for teams in (20, TEAMS_MAX):
        of_result, of_marker = map(median, zip(*(crowd(teams) for _ in range(rounds)), strict=True))
        print(f"{teams} teams: a result {of_result:.1f} us, its marker with {MARKETS} markets {of_marker:.1f} ms")


if __name__ == "__main__":
    main()
