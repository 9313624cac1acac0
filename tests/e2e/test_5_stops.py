"""A process that hangs instead of dying: Postgres, Kafka, the node, a stage; `make soak PART=stops` stops all."""

import pytest
from e2e_stack import Stack
from e2e_stops import hangs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", ["postgres", "kafka", "localnet", "model"])
def test_what_hangs_is_named_by_who_depends_on_it_and_all_recover(stack: Stack, name: str):
    if stack.status()[name]["state"] == "external":
        pytest.skip(f"{name} is none of this stack's")
    hangs(stack, name, 10)
