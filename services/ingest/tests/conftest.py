"""The worlds of these tests as modules, and their fixtures."""

import importlib.util
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_LIBS = _HERE.parents[2] / "libs"
for _path in (
    _LIBS / "m0common/tests/stream/broken_bytes.py",
    _LIBS / "m0replay/tests/control_world.py",
    _HERE / "ingest_world.py",
    _HERE / "ingest_fleet.py",
):
    _spec = importlib.util.spec_from_file_location(_path.stem, _path)
    sys.modules[_path.stem] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_path.stem])

from ingest_world import Rig, World  # noqa: E402 - a module since a moment ago


@pytest.fixture
async def world():
    return await World().start()


@pytest.fixture
async def make_rig(world):
    async def make(*, named=("btc", "eng.1"), **options):
        if named:
            await world.name(*named)
        return await Rig(world, **options).start()

    return make


@pytest.fixture
async def rig(make_rig):
    return await make_rig()
