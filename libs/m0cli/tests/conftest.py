"""The worlds of the heart's and m0replay's tests as modules, and a secured Kafka: catalogs, and lanes in memory."""

import importlib.util
import sys
from pathlib import Path

_LIBS = Path(__file__).parents[2]
for _path in (
    _LIBS / "m0lanes/tests/lanes_toy.py",
    _LIBS / "m0lanes/tests/lanes_world.py",
    _LIBS / "m0replay/tests/catalog_world.py",
    _LIBS / "m0replay/tests/recorded_world.py",
    _LIBS / "m0cli/tests/secured_kafka.py",
):
    if _path.stem not in sys.modules:
        _spec = importlib.util.spec_from_file_location(_path.stem, _path)
        sys.modules[_path.stem] = importlib.util.module_from_spec(_spec)
        _spec.loader.exec_module(sys.modules[_path.stem])
