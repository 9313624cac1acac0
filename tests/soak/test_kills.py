"""Ten minutes of kill -9 at random moments, of one process or several at once: nothing is lost, nothing is doubled."""

import os
import random
import signal
import time
from functools import partial

import e2e_log as log
import pytest
from e2e_stack import CATALOGS, Stack

pytestmark = [pytest.mark.soak, pytest.mark.timeout(2400)]
SEED = int(os.environ.get("M0_CHAOS_SEED", random.randrange(1 << 30)))
LASTS_S = float(os.environ.get("M0_CHAOS_S", "600"))


def test_ten_minutes_of_kills_lose_and_double_nothing(stack: Stack):
    rng = random.Random(SEED)
    print(f"M0_CHAOS_SEED={SEED}")
    names = sorted(stack.status())
    killed, end = 0, time.monotonic() + LASTS_S
    while time.monotonic() < end:
        chosen = rng.sample(names, rng.choice((1, 1, 1, 2, 3)))
        running = {name: s["pid"] for name, s in stack.status().items() if s["pid"]}
        for name in filter(running.get, chosen):
            os.kill(running[name], signal.SIGKILL)
            killed += 1
        for name in filter(running.get, chosen):
            stack.wait(f"{name} to come back", partial(stack.restarted, name, running[name]), 60)
        time.sleep(rng.uniform(0.2, 8))
    stack.all_ready(180)
    after = stack.goes_on(epochs=3, timeout=240)
    finals = stack.finals()
    found = log.agree(stack.kafka, finals)
    for catalog in CATALOGS:
        stack.replays(catalog, after[catalog])
    counts = log.account(stack.kafka, stack.home)
    share = {
        catalog: f"{len(epochs)} of {sum(c == catalog for c, _ in found)} final" for catalog, epochs in finals.items()
    }
    print(f"{killed} kills, {share}, {counts}")
    assert counts["dead"] == counts["letters"]
