"""The wall clock of every process is set ten minutes forth, and back, and ten minutes back: epochs go on."""

import time
from itertools import pairwise
from pathlib import Path

import e2e_log as log
import pytest
from e2e_stack import CATALOGS, Stack
from m0common.clock import TEST_CLOCK_FILE

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
TEN_MINUTES_MS = 600_000
STAYS_S = 90


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The file that shifts the clocks."""
    return {TEST_CLOCK_FILE: str(tmp_path_factory.mktemp("clock") / "shift")}


def test_epochs_go_on_while_the_clock_is_set_forth_and_back(stack: Stack, told):
    shift = Path(told[TEST_CLOCK_FILE])
    pids = {name: s["pid"] for name, s in stack.status().items()}
    before = stack.goes_on(epochs=1)
    for step in (TEN_MINUTES_MS, -TEN_MINUTES_MS):
        shift.write_text(str(step))
        time.sleep(STAYS_S)
        stack.goes_on(epochs=1)
        shift.write_text("0")
        time.sleep(STAYS_S)
        stack.goes_on(epochs=1)
    after = stack.goes_on(epochs=2)
    assert {name: s["pid"] for name, s in stack.status().items()} == pids
    stack.all_ready()
    for catalog in CATALOGS:
        found = log.headers_of(stack.kafka, catalog)
        numbers = [number for number in sorted(found) if number >= before[catalog]]
        assert all(b == a + 1 for a, b in pairwise(numbers)), f"{catalog}: {numbers}"
        final = {epoch["epoch_id"] for epoch in stack.finalized(catalog, 200)}
        lost = [number for number in numbers if number <= after[catalog] and number not in final]
        print(f"{catalog}: {len(numbers)} epochs, not final: {lost}")
        assert not lost
        for number in (before[catalog], numbers[len(numbers) // 2], after[catalog]):
            stack.replays(catalog, number)
