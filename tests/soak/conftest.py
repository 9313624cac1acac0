"""A stack for each part; a part is one file and runs by name: make soak PART=clock."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_FOLDERS = {"soak_tree": _ROOT / "tests" / "soak", "secured_kafka": _ROOT / "tests" / "deployment"}
for _name in ("e2e_log", "e2e_fuzz", "e2e_stack", "e2e_stops", "soak_tree", "secured_kafka"):
    _folder = _FOLDERS.get(_name, _ROOT / "tests" / "e2e")
    _spec = importlib.util.spec_from_file_location(_name, _folder / f"{_name}.py")
    sys.modules[_name] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)

import e2e_stack  # noqa: E402 - loaded above


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    """What the stack's environment has besides; a part says more where it needs to."""
    return {}


@pytest.fixture(scope="module")
def stack(told: dict[str, str]) -> Iterator[e2e_stack.Stack]:
    """A running stack whose catalogs have final epochs."""
    with e2e_stack.at_home() as home, e2e_stack.running(home, told) as made:
        made.goes_on(epochs=1)
        yield made
