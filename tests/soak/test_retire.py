"""A catalog is retired and opened again; the other one does not notice."""

import json
import time

import e2e_log as log
import pytest
from e2e_stack import Stack

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]
CATALOG, OTHER = "crypto", "sports"


def open_markets(stack: Stack) -> list[dict]:
    return [m for m in stack.get(f"/v1/markets?catalog={CATALOG}&limit=200")["items"] if m["state"] == "ACTIVE"]


def test_a_retired_catalog_closes_no_epoch_and_returns_with_its_state(stack: Stack):
    before = stack.goes_on(epochs=2)
    stack.m0("catalog", "retire", CATALOG, "--yes")
    stack.goes_on([OTHER], epochs=2)
    ended = max(log.headers_of(stack.kafka, CATALOG))
    rows = json.loads(stack.m0("lane", "list", "--json").stdout)["lanes"]
    assert CATALOG not in {row["catalog"] for row in rows if row["stage"] != "bundle"}
    stack.kill("normalize")
    stack.kill("model")
    time.sleep(30)
    assert max(log.headers_of(stack.kafka, CATALOG)) == ended
    stack.all_ready()
    stack.m0("catalog", "set", CATALOG, "--yes")
    after = stack.goes_on(epochs=3)
    found = log.headers_of(stack.kafka, CATALOG)
    assert found[min(number for number in found if number > ended)].generation == 3
    assert after[CATALOG] > ended
    for number in (before[CATALOG], ended, after[CATALOG]):
        stack.replays(CATALOG, number)
    stack.replays(CATALOG, after[CATALOG], "--full")
    stack.replays(OTHER, after[OTHER])
