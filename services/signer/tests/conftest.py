"""The heart's and the replay tool's worlds as modules, and this folder, so that every test file here can use them."""

import importlib.util
import sys
from pathlib import Path

import pytest
from m0_signer.database import Database

_HERE = Path(__file__).parent
_LIBS = _HERE.parents[2] / "libs"
sys.path.insert(0, str(_HERE))
for _path in (
    *(_LIBS / "m0lanes/tests" / f"{name}.py" for name in ("lanes_toy", "lanes_world", "lanes_fleet")),
    _LIBS / "m0replay/tests/recorded_world.py",
    _LIBS / "m0common/tests/stream/broken_bytes.py",
):
    if _path.stem not in sys.modules:
        _spec = importlib.util.spec_from_file_location(_path.stem, _path)
        sys.modules[_path.stem] = importlib.util.module_from_spec(_spec)
        _spec.loader.exec_module(sys.modules[_path.stem])


@pytest.fixture
async def database(tmp_path):
    """The file of a guard."""
    opened = await Database.open(tmp_path / "guard")
    yield opened
    await opened.close()
