"""What an event costs in each stage beside what it cost at commit 8daae07, whose stages run in this very bench.

    python libs/m0lanes/bench/before.py [EVENTS] [ROUNDS]

One process for either commit, with the same packages, takes the same observations of one lane through its stages. They
take turns, so that each pair of costs is of one moment; what is shown are medians of pairs, each with its share of the
marker, and the middle 80% of their ratios. A round is a new lane.

What decides leaves must be said in equal numbers, or nothing is shown. Provisional predictions are not alike: 8daae07
said them after every event, within the lane; today they are asides, said here behind every turn, which with 5000 events
is once a second of the log, as it is by default. So the ratios of feature and model are of what is done for an event,
not of the same messages; the last line counts them.

Where the commit is not in this clone, there is nothing to compare with.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from observed import MARKETS
from turns import CHUNK, PROVISIONAL, Cost

COMMIT = "8daae075a20a26d2207b713eb0bd51d834b957eb"
NAME = COMMIT[:7]
LIBRARIES = ("m0common", "m0lanes", "m0quant")
"""What the stages were made of at that commit."""
MIXES = ("sports", 2), ("sports", 100), ("crypto", 2)
"""Domains, and of sports how many observations there are for each result: in the second as in a feed that is live."""
HERE = Path(__file__).parent
ALL = "all three"

Turn = Mapping[str, Cost]
"""Costs by stage."""


def git(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run git in this repository."""
    return subprocess.run(["git", "-C", str(HERE), *arguments], capture_output=True, text=True, check=False)


@contextmanager
def worktree() -> Iterator[Path]:
    """The files of the commit, for a while."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / NAME
        try:
            added = git("worktree", "add", "--detach", str(tree), COMMIT)
            if added.returncode:
                sys.exit(f"before.py: {added.stderr.strip()}")
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


@contextmanager
def side(script: str, domain: str, events: int, every: int, libraries: Sequence[Path] = ()) -> Iterator["Worker"]:
    """A process of one side, until the end of the block."""
    path = {"PYTHONPATH": os.pathsep.join(map(str, libraries))} if libraries else {}
    with subprocess.Popen(
        [sys.executable, str(HERE / script), domain, str(events), str(every)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | path,
    ) as process:
        try:
            yield Worker(process)
        finally:
            process.kill()


class Worker:
    """See turns.py."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def turn(self) -> Turn:
        """The next one's costs. Ends the program when the process ended, which has said why."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write("\n")
        stdin.flush()
        if not (line := stdout.readline()):
            sys.exit("before.py: a side ended early; what it said is above")
        return {stage: Cost(*cost) for stage, cost in json.loads(line).items()}


class Price(NamedTuple):
    """Microseconds of CPU per raw event: of a stage, of that its marker, and of the bare codec for both."""

    stage_us: float
    marker_us: float
    bare_us: float


Pair = tuple[dict[str, Price], dict[str, Price]]
"""What a chunk cost by stage: then, and now."""


def prices(turns: Sequence[Turn], events: int) -> Iterator[dict[str, Price]]:
    """By stage, and in all: what each chunk of a round cost with its share of the marker, whose turn is the last."""
    *chunks, marker = turns
    for chunk in chunks:
        each = {
            stage: Price(
                1e6 * (cost.spent_s / CHUNK + marker[stage].spent_s / events),
                1e6 * marker[stage].spent_s / events,
                1e6 * (cost.bare_s / CHUNK + marker[stage].bare_s / events),
            )
            for stage, cost in chunk.items()
        }
        yield each | {ALL: Price(*map(sum, zip(*each.values(), strict=True)))}


def told(turns: Sequence[Turn]) -> Counter[tuple[str, str]]:
    """How many messages of each stage and kind were said in a round."""
    found: Counter[tuple[str, str]] = Counter()
    for turn in turns:
        for stage, cost in turn.items():
            found.update({(stage, kind): number for kind, number in cost.said.items()})
    return found


def compared(then: Counter[tuple[str, str]], now: Counter[tuple[str, str]]) -> str:
    """What both said of what decides leaves, and how the rest differs. Ends the program when the first is not alike."""
    counts: list[dict[tuple[str, str], int]] = []
    asides: list[int] = []
    for said in (then, now):
        counts.append({of: number for of, number in said.items() if not of[1].startswith(PROVISIONAL)})
        asides.append(said["model", PROVISIONAL + "prediction"])
    if counts[0] != counts[1]:
        differ = sorted(set(counts[0].items()) ^ set(counts[1].items()))
        sys.exit(f"before.py: the sides cannot be compared, they said unlike numbers of messages: {differ}")
    stages = Counter[str]()
    for (stage, _), number in counts[1].items():
        stages[stage] += number
    alike = ", ".join(f"{stage} {number}" for stage, number in stages.items())
    return f"said alike: {alike}; provisional predictions: {asides[1]}, at {NAME} {asides[0]}"


def measure(tree: Path, domain: str, events: int, rounds: int, every: int) -> tuple[list[Pair], str]:
    """Every pair of chunks, and what the sides said."""
    pairs: list[Pair] = []
    libraries = [tree / "libs" / name / "src" for name in LIBRARIES]
    with (
        side(f"side_{NAME}.py", domain, events, every, libraries) as then,
        side("side_today.py", domain, events, every) as now,
    ):
        for each in range(rounds):
            turns: dict[Worker, list[Turn]] = {then: [], now: []}
            for number in range(events // CHUNK + 1):
                for worker in (then, now) if (each + number) % 2 else (now, then):
                    turns[worker].append(worker.turn())
            pairs.extend(zip(prices(turns[then], events), prices(turns[now], events), strict=True))
    return pairs, compared(told(turns[then]), told(turns[now]))


def show(named: str, pairs: Sequence[Pair], said: str) -> None:
    """A line for every stage, one for all, one for what they said."""
    for stage in pairs[0][0]:
        cost_us = median(now[stage].stage_us for _, now in pairs)
        marker_us = median(now[stage].marker_us for _, now in pairs)
        ratios = [now[stage].stage_us / then[stage].stage_us for then, now in pairs]
        low, *_, high = quantiles(ratios, n=10)
        bare_then, bare_now = (
            median(p[stage].stage_us / p[stage].bare_us for p in s) for s in zip(*pairs, strict=True)
        )
        print(
            f"{named:23} {stage:10} {cost_us:6.1f} us (marker {marker_us:4.1f}), "
            f"{median(ratios):4.2f} times {NAME} ({low:.2f}..{high:.2f}), "
            f"{bare_now:5.1f} of a bare decode and encode ({bare_then:.1f} at {NAME})"
        )
    print(f"{named:23} {said}", flush=True)


def main() -> None:
    """Every mix."""
    events = max(1, (int(sys.argv[1]) if len(sys.argv) > 1 else 5000) // CHUNK) * CHUNK
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the worktree is removed
    if git("cat-file", "-e", f"{COMMIT}^{{commit}}").returncode:
        print(f"Nothing to compare with: commit {NAME} is not in this clone; 'git fetch --unshallow' may bring it.")
        return
    print(f"{events} events and their marker, {MARKETS} markets, {rounds} rounds; us of CPU per raw event:", flush=True)
    with worktree() as tree:
        for domain, every in MIXES:
            named = f"{domain}, a result in {every}" if domain == "sports" else domain
            show(named, *measure(tree, domain, events, rounds, every))


if __name__ == "__main__":
    main()
