"""Stopping a process of a stack with SIGSTOP: who says that it is not ready, how soon, and why."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from e2e_stack import Stack
from m0local import settings

SIGNERS = ("signer-1", "signer-2", "signer-3")
STAGES = ("normalize", "feature", "model", "bundle")
DEPEND = {
    "postgres": ("api", "indexer", "jobs"),
    "kafka": (*STAGES, *SIGNERS, "ingest", "indexer", "realtime", "jobs"),
    "localnet": (*SIGNERS, "ingest", "indexer", "jobs"),
    "valkey": (),
}
"""Who cannot do its work without whom."""
EVERYTHING = (*DEPEND, *STAGES, *SIGNERS, "ingest", "indexer", "api", "realtime", "jobs")
CAUSE = {"postgres": ("Postgres",), "kafka": ("broker", "Kafka"), "localnet": ("node",)}
"""A word of each that stands in the reason."""


@dataclass(frozen=True)
class Seen:
    """What a service said first once it was not ready."""

    after_s: float
    why: str


def readiness(stack: Stack, name: str) -> str | None:
    """What a service says is wrong, None when it is ready; no answer within 3 s is wrong too."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{settings.PORTS[name] + stack.offset}/ready", timeout=3
        ) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        return json.dumps(json.loads(error.read())["problems"])
    except OSError as error:
        return f"no answer: {error}"
    return None


def falls(stack: Stack, name: str, since_s: float, within_s: float) -> Seen | None:
    """When a service is not ready any more, None when it stays ready."""
    while time.monotonic() - since_s < within_s:
        if (why := readiness(stack, name)) is not None:
            return Seen(time.monotonic() - since_s, why)
        time.sleep(0.25)
    return None


@contextmanager
def stopped(stack: Stack, name: str) -> Iterator[float]:
    """A process and its children stopped for the length of the block; yields the moment."""
    pids = family(stack.wait(f"{name} to run", partial(stack.running, name), 60)["pid"])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield time.monotonic()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """A process and all that descend from it, the eldest first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def slowest_answer(stack: Stack, until_s: float) -> tuple[float, set[int]]:
    """The longest that the API took to answer anything until then, and the statuses that it gave."""
    longest, statuses = 0.0, set()
    for n in range(10_000):
        began = time.monotonic()
        if began >= until_s:
            break
        try:
            with urllib.request.urlopen(f"{stack.api}/v1/markets?limit={n % 50 + 1}", timeout=60) as answer:
                statuses.add(answer.status)
        except urllib.error.HTTPError as error:
            statuses.add(error.code)
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.25)
    return longest, statuses


def hangs(stack: Stack, name: str, seconds: float) -> dict[str, Seen | None]:
    """Stop a process for so long, and go on when everything is ready again and epochs are final.

    Fails unless who depends on it said so with its name, and the API answered all the while. Returns who was not ready,
    and what it said first.
    """
    dependents = DEPEND.get(name, ())
    others = [each for each in EVERYTHING if each not in (name, *DEPEND, *dependents)]
    with ThreadPoolExecutor(32) as pool, stopped(stack, name) as since_s:
        asked = pool.submit(slowest_answer, stack, since_s + seconds) if name != "api" else None
        found = {each: pool.submit(falls, stack, each, since_s, seconds) for each in dependents}
        calm = {each: pool.submit(falls, stack, each, since_s, seconds) for each in others}
        seen = {each: future.result() for each, future in found.items()}
        stirred = {each: said for each, future in calm.items() if (said := future.result()) is not None}
        answered = asked.result() if asked is not None else None
    print(
        f"{name} hung for {seconds:.0f} s: " + ", ".join(f"{k} after {v.after_s:.1f} s" for k, v in seen.items() if v)
    )
    print(f"  the API: {answered}")
    for each, said in {**seen, **stirred}.items():
        print(f"  {each}: {said}")
    silent = [each for each, said in seen.items() if said is None]
    assert not silent, f"{name} hung and {silent} stayed ready"
    for each, said in seen.items():
        assert said is not None
        assert any(word in said.why for word in CAUSE[name]), f"{name} hung and {each} says {said.why}"
    if answered is not None:
        assert answered[0] < 10, f"a request took {answered[0]:.1f} s"
        assert answered[1] <= {200, 503}
    stack.all_ready(180)
    stack.goes_on(epochs=1)
    return seen | stirred
