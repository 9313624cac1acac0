"""Stopping a process of a stack with SIGSTOP: who says that it is not ready, how soon, and why."""

import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from e2e_stack import Stack, report_at
from m0local import settings
from m0local.testing import frozen

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
        said = json.loads(report_at(settings.PORTS[name] + stack.offset, timeout=3))
    except OSError as error:
        return f"no answer: {error}"
    return json.dumps(said["problems"]) if said["status"] == "unavailable" else None


def falls(stack: Stack, name: str, since_s: float, within_s: float) -> Seen | None:
    """When a service is not ready any more, None when it stays ready."""
    while time.monotonic() - since_s < within_s:
        if (why := readiness(stack, name)) is not None:
            return Seen(time.monotonic() - since_s, why)
        time.sleep(0.25)
    return None


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


def watched(stack: Stack, ill: str, what: str, seconds: float) -> tuple[float, set[int]] | None:
    """Watch for so long who says that it is not ready while something is wrong with `ill`; `what` says what.

    Fails unless all who depend on it did, in words that name it. Returns what the API answered, where it could.
    """
    dependents, since_s = DEPEND.get(ill, ()), time.monotonic()
    others = [each for each in EVERYTHING if each not in (ill, *DEPEND, *dependents)]
    with ThreadPoolExecutor(32) as pool:
        asked = pool.submit(slowest_answer, stack, since_s + seconds) if ill != "api" else None
        falling = {each: pool.submit(falls, stack, each, since_s, seconds) for each in (*dependents, *others)}
        seen = {each: future.result() for each, future in falling.items()}
        answered = asked.result() if asked is not None else None
    soon = [f"{each} after {said.after_s:.1f} s" for each in dependents if (said := seen[each]) is not None]
    print(f"{ill} {what} for {seconds:.0f} s: {', '.join(soon)}; the API: {answered}")
    for each, said in seen.items():
        if said is not None or each in dependents:
            print(f"  {each}: {said}")
    for each in dependents:
        said = seen[each]
        assert said is not None, f"{ill} {what} and {each} stayed ready"
        assert any(word in said.why for word in CAUSE[ill]), f"{ill} {what} and {each} says {said.why}"
    return answered


def hangs(stack: Stack, name: str, seconds: float) -> None:
    """Stop a process for so long, and go on when everything is ready again and epochs are final.

    Fails unless who depends on it said so with its name, and the API answered all the while.
    """
    pid = stack.wait(f"{name} to run", partial(stack.running, name), 60)["pid"]
    with frozen(pid):
        answered = watched(stack, name, "hung", seconds)
    if answered is not None:
        assert answered[0] < 10, f"a request took {answered[0]:.1f} s"
        assert answered[1] <= {200, 503}
    stack.all_ready(180)
    stack.goes_on(epochs=1)
