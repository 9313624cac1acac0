"""One stack for all end-to-end tests; they run in the order of their files."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for _name in ("e2e_log", "e2e_fuzz", "e2e_stack"):
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).with_name(f"{_name}.py"))
    sys.modules[_name] = e2e_stack = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(e2e_stack)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator["e2e_stack.Stack"]:
    """A running stack whose Kafka, Postgres, Valkey and localnet are its own."""
    kept = os.environ.get("M0_E2E_HOME")
    with e2e_stack.running(Path(kept or tmp_path_factory.mktemp("m0")), keep=bool(kept)) as made:
        yield made
