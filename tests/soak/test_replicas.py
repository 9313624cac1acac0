"""Two replicas of every service that may have them, either killed at random for ten minutes; twins of what may not."""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import e2e_log as log
import pytest
from e2e_stack import CATALOGS, ROOT, Stack, report_at
from m0local.ports import free_port
from soak_tree import start
from websockets.sync.client import connect

pytestmark = [pytest.mark.soak, pytest.mark.timeout(2400)]
SEED = int(os.environ.get("M0_CHAOS_SEED", random.randrange(1 << 30)))
LASTS_S = float(os.environ.get("M0_CHAOS_S", "600"))
REPLICATED = ("normalize", "feature", "model", "bundle", "indexer", "jobs", "ingest", "api", "realtime")


class Replicas:
    """A second process of each service, beside the stack's."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.ports = {name: free_port() for name in REPLICATED}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        bind = f"127.0.0.1:{self.ports[name]}"
        told = {"M0_REPLICA": "1", "M0_BIND": bind}
        self.processes[name] = start(self._stack, ROOT, name, self.ports[name], **told)

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(30)

    def ready(self) -> bool:
        return all(json.loads(report_at(port))["status"] != "unavailable" for port in self.ports.values())


@pytest.fixture(scope="module")
def replicas(stack: Stack) -> Iterator[Replicas]:
    made = Replicas(stack)
    for name in REPLICATED:
        made.start(name)
    try:
        stack.wait("the second replicas to be ready", made.ready, 180)
        yield made
    finally:
        made.stop()


def test_either_replica_may_die_at_any_moment(stack: Stack, replicas: Replicas):
    rng, killed = random.Random(SEED), Counter()
    print(f"M0_CHAOS_SEED={SEED}")
    end = time.monotonic() + LASTS_S
    while time.monotonic() < end:
        name = rng.choice(REPLICATED)
        if rng.random() < 0.5:
            running = stack.wait(f"{name} to run", partial(stack.running, name), 60)
            os.kill(running["pid"], signal.SIGKILL)
        else:
            replicas.kill(name)
            time.sleep(rng.uniform(0, 4))
            replicas.start(name)
        killed[name] += 1
        time.sleep(rng.uniform(1, 8))
    stack.all_ready(240)
    stack.wait("the second replicas to be ready", replicas.ready, 240)
    after = stack.goes_on(epochs=3, timeout=240)
    for catalog in CATALOGS:
        stack.replays(catalog, after[catalog])
    log.agree(stack.kafka, stack.finals())
    counts = log.account(stack.kafka, stack.home)
    print(f"{sum(killed.values())} kills: {dict(killed)}; {counts}")
    assert counts["dead"] == counts["letters"]


def test_both_streams_number_alike_and_both_apis_answer_alike(stack: Stack, replicas: Replicas):
    def alike() -> bool:
        one = numbers(8090 + stack.offset)
        other = numbers(replicas.ports["realtime"])
        print(f"stream: {one} {other}")
        return one == other

    stack.wait("both streams to say the same", alike, 120)
    path = "/v1/epochs?status=finalized&limit=200"

    def equal() -> bool:
        return stack.get(path) == stack.get(path, port=replicas.ports["api"])

    stack.wait("both APIs to say the same", equal, 120)


def numbers(port: int) -> dict[str, Any]:
    """The number and the newest epoch of each catalog's channel, as a stream greets with them."""
    found = {}
    with connect(f"ws://127.0.0.1:{port}/ws") as socket:
        socket.send(json.dumps({"op": "subscribe", "channels": [f"epochs.{catalog}" for catalog in CATALOGS]}))
        while len(found) < len(CATALOGS):
            frame = json.loads(socket.recv(timeout=30))
            if frame["op"] == "snapshot":
                found[frame["channel"]] = frame["seq"]
    return found


def test_no_job_is_done_twice(stack: Stack):
    """What jobs says it did, over both replicas' logs: a market is resolved once, an epoch cranked once each way."""
    done = Counter()
    for path in (stack.home / "logs" / "jobs.log", stack.home / "logs" / "second-jobs.log"):
        for line in events(path):
            if line.get("event") == "resolved":
                done["resolve", line["market_id"]] += 1
            elif line.get("event") == "cranked":
                done[line["action"], line["catalog"], line["epoch_id"]] += 1
    print(f"{len(done)} jobs done")
    assert {what: times for what, times in done.items() if times > 1} == {}


def events(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log that are JSON."""
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        if line.startswith("{"):
            yield json.loads(line)


@pytest.mark.parametrize(
    ("service", "identity"), [("model", {"M0_REPLICA": "0"}), ("signer", {"M0_SIGNER_NAME": "signer-1"})]
)
def test_a_twin_with_the_same_identity_is_refused_or_harmless_and_says_so(
    stack: Stack, service: str, identity: dict[str, str]
):
    port = free_port()
    twin = start(stack, ROOT, service, port, M0_BIND=f"127.0.0.1:{port}", **identity)
    try:
        stack.goes_on(epochs=2)
        ended = twin.poll()
        said = "it ended" if ended is not None else report_at(port)
        print(f"{service}: exit code {ended}, {said}")
        assert ended is None or ended > 0
    finally:
        twin.terminate()
        twin.wait(30)
    stack.all_ready(120)
    newest = stack.goes_on(epochs=1)
    for catalog in CATALOGS:
        stack.replays(catalog, newest[catalog])
