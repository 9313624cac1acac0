"""kill -9 of every process of the stack at random moments: it comes back, nothing is lost, nothing is doubled."""

import json
import os
import random
import signal
import time
from functools import partial

import e2e_log as log
import pytest
from e2e_stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SEED = int(os.environ.get("M0_CHAOS_SEED", "20261126"))
SERVICES = (
    "ingest", "normalize", "feature", "model", "bundle", "signer-1", "signer-2", "signer-3", "indexer", "api",
    "realtime", "jobs", "kafka", "postgres", "valkey", "localnet",
)  # fmt: skip


def test_every_process_survives_kill_9_at_a_random_moment(stack: Stack):
    rng = random.Random(SEED)
    print(f"M0_CHAOS_SEED={SEED}")
    ours = [name for name in SERVICES if stack.status()[name]["state"] != "external"]
    order = rng.sample(ours, len(ours))
    known = {e["epoch_id"]: e for c in ("crypto", "sports") for e in stack.finalized(c)}
    for name in order:
        time.sleep(rng.uniform(0.2, 6))
        before = stack.wait(f"{name} to run", partial(stack.running, name), 60)
        os.kill(before["pid"], signal.SIGKILL)
        stack.wait(f"{name} to come back", partial(stack.restarted, name, before["pid"]), 30)
    stack.wait("everything to be ready again", lambda: all(s["ready"] for s in stack.status().values()), 120)
    latest = {c: stack.finalized(c)[0]["epoch_id"] for c in ("crypto", "sports")}
    for catalog, epoch_id in latest.items():
        stack.wait(
            f"{catalog} to finalize again", lambda c=catalog, e=epoch_id: stack.finalized(c)[0]["epoch_id"] > e, 150
        )
    assert_nothing_doubled(stack, known)
    counts = log.account(stack.kafka, stack.home)
    print(counts)
    assert counts["dead"] == counts["letters"]


def assert_nothing_doubled(stack: Stack, known: dict[int, dict]) -> None:
    finals = stack.finals()
    log.agree(stack.kafka, finals)
    for catalog, epochs in finals.items():
        ids = [e["epoch_id"] for e in epochs]
        assert len(ids) == len(set(ids))
        for epoch in epochs:
            if (before := known.get(epoch["epoch_id"])) and before["catalog"] == catalog:
                assert before["bundle_hash"] == epoch["bundle_hash"]


def test_a_killed_stage_starts_again_from_its_last_checkpoint(stack: Stack):
    before = stack.status()["model"]
    os.kill(before["pid"], signal.SIGKILL)
    stack.wait(
        "model to be ready again", lambda: (s := stack.status()["model"])["ready"] and s["pid"] != before["pid"], 60
    )
    lines = [line for line in (stack.home / "logs/model.log").read_text().splitlines() if '"assigned"' in line]
    starts = lines[-1]
    assert '"starts"' in starts
    offsets = json.loads(starts)["starts"]
    assert len([offset for offset in offsets.values() if offset]) >= 2, starts
