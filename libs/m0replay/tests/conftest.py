"""The worlds of these tests, and those of the heart, as modules, so that every test file here can use them."""

import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_HEART = [
    _HERE.parents[1] / "m0lanes/tests" / f"{name}.py"
    for name in ("lanes_toy", "lanes_world", "lanes_fleet", "lanes_lives")
]
_BROKEN = _HERE.parents[1] / "m0common/tests/stream/broken_bytes.py"
for _path in [_BROKEN, *_HEART, *sorted(_HERE.glob("*_world.py"))]:
    if _path.stem not in sys.modules:
        _spec = importlib.util.spec_from_file_location(_path.stem, _path)
        sys.modules[_path.stem] = importlib.util.module_from_spec(_spec)
        _spec.loader.exec_module(sys.modules[_path.stem])
