"""One stack for all end-to-end tests; they run in the order of their files."""

import importlib.util
import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("e2e_stack", Path(__file__).with_name("stack.py"))
e2e_stack = importlib.util.module_from_spec(_spec)
sys.modules["e2e_stack"] = e2e_stack
_spec.loader.exec_module(e2e_stack)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator["e2e_stack.Stack"]:
    """A running stack whose Kafka, Postgres, Valkey and localnet are its own."""
    home = Path(os.environ.get("M0_E2E_HOME") or tmp_path_factory.mktemp("m0"))
    # embedded Postgres runs as nobody when the tests run as root, and must be able to reach its folder
    for folder in (home, *home.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    made = e2e_stack.Stack(home, random.randrange(11_000, 14_000, 20))
    try:
        made.m0("up")
        yield made
    finally:
        made.m0("down", check=False)
        if not os.environ.get("M0_E2E_HOME"):
            shutil.rmtree(home, ignore_errors=True)
