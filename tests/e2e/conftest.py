"""One stack for all end-to-end tests; they run in the order of their files."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for _name in ("e2e_log", "e2e_fuzz", "e2e_stack", "e2e_stops", "e2e_failures"):
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).with_name(f"{_name}.py"))
    sys.modules[_name] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)

import e2e_stack  # noqa: E402 - loaded above


@pytest.fixture(scope="session")
def stack() -> Iterator[e2e_stack.Stack]:
    """A running stack whose Kafka, Postgres, Valkey and localnet are its own."""
    with e2e_stack.at_home() as home, e2e_stack.running(home) as made:
        yield made
