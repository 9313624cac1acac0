"""Everything is killed in the middle of checkpoints, and stays off for longer than states are promised."""

import os
import random
import shutil
import signal
import time

import e2e_log as log
import pytest
from e2e_stack import CATALOGS, ROOT, Stack

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
HORIZON_S = 60
AWAY_S = 3 * HORIZON_S
SEED = int(os.environ.get("M0_CHAOS_SEED", "20261126"))
SETTINGS = {
    "stage": "checkpoint_interval_ms = 200\n",
    "jobs": f"replay_horizon_ms = {HORIZON_S * 1000}\ntrim_interval_ms = 5000\n",
}
"""By table."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings with checkpoints all the time, a short horizon, and trimming that is never far behind."""
    folder = tmp_path_factory.mktemp("config") / "config"
    shutil.copytree(ROOT / "config", folder)
    file = folder / "dev.toml"
    text = file.read_text()
    for table, lines in SETTINGS.items():
        head = f"\n[{table}]\n"
        text = text.replace(head, head + lines) if head in text else text + head + lines
    file.write_text(text)
    return {"M0_CONFIG_PATH": str(folder / "dev.toml")}


def test_a_stack_that_was_off_for_longer_than_the_horizon_goes_on(stack: Stack, told):
    rng = random.Random(SEED)
    stack.goes_on(epochs=6, timeout=300)
    for _ in range(8):
        time.sleep(rng.uniform(1, 3))
        stack.kill(rng.choice(("normalize", "feature", "model", "bundle")))
    before = stack.goes_on(epochs=1)
    pids = [s["pid"] for s in stack.status().values() if s["pid"]]
    supervisor = int((stack.home / "run/supervisord.pid").read_text())
    for pid in (supervisor, *pids):
        os.kill(pid, signal.SIGKILL)
    time.sleep(AWAY_S)
    stack.m0("up")
    after = stack.goes_on(epochs=3, timeout=240)
    stack.all_ready()
    counts = log.account(stack.kafka, stack.home)
    print(counts)
    assert counts["dead"] == counts["letters"]
    for catalog in CATALOGS:
        stack.replays(catalog, after[catalog])
        stack.replays(catalog, before[catalog], "--full")
