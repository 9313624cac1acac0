"""Each process of the stack hangs for a minute, one by one: who depends on it says so, nothing is lost or doubled."""

import os

import e2e_log as log
import pytest
from e2e_stack import CATALOGS, Stack
from e2e_stops import EVERYTHING, hangs

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
SECONDS = float(os.environ.get("M0_HANG_S", "60"))


def test_whatever_hangs_is_named_by_who_depends_on_it_and_costs_nothing_afterwards(stack: Stack):
    for name in EVERYTHING:
        hangs(stack, name, SECONDS)
    newest = stack.goes_on()
    for catalog in CATALOGS:
        stack.replays(catalog, newest[catalog])
    log.agree(stack.kafka, stack.finals())
    counts = log.account(stack.kafka, stack.home)
    print(counts)
    assert counts["dead"] == counts["letters"]
