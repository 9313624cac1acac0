"""Whatever anybody writes to the log at full speed: every service stays up and ready, every catalog goes on."""

import os
import time

import e2e_fuzz as fuzz
import e2e_log as log
import pytest
from e2e_stack import Stack
from m0common.stream.records import Produce
from m0common.topics import RAW

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
EVENTS = int(os.environ.get("M0_FUZZ_EVENTS", "20000"))
SEED = int(os.environ.get("M0_FUZZ_SEED", "20261126"))
BATCH = 1_000


def test_a_flood_of_hostile_events_stops_nothing(stack: Stack):
    before = {name: (s["pid"], s["restarts"]) for name, s in stack.status().items()}
    written, batch, began = 0, [], time.monotonic()
    for partition, value in fuzz.events(SEED, EVENTS, log.by_the_registry(stack.kafka)):
        batch.append(Produce(RAW.name, partition, None, value))
        if len(batch) == BATCH:
            log.produce(stack.kafka, batch)
            written, batch = written + len(batch), []
    print(f"{written} events in {time.monotonic() - began:.0f} s, seed {SEED}")
    # an epoch that began behind the flood is closed by markers that lie behind all of it
    flooded_ms = int(time.time() * 1000)
    for catalog in ("crypto", "sports"):
        stack.wait(
            f"{catalog} to finalize an epoch behind the flood",
            lambda c=catalog: stack.finalized(c)[0]["window_start_ms"] > flooded_ms,
            240,
        )
    after = stack.status()
    assert {name: (s["pid"], s["restarts"]) for name, s in after.items()} == before
    assert all(s["ready"] for s in after.values())
    counts = log.account(stack.kafka, stack.home)
    print(counts)
    assert counts["dead"] == counts["letters"]
    assert counts["dead"] > written // 10
    assert log.opened_more_often_than_said(stack.kafka) == set()
