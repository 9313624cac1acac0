"""The world of m0replay's tests as a module: catalogs of a deployment in memory."""

import importlib.util
import sys
from pathlib import Path

_path = Path(__file__).parents[3] / "libs" / "m0replay" / "tests" / "catalog_world.py"
_spec = importlib.util.spec_from_file_location(_path.stem, _path)
sys.modules[_path.stem] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules[_path.stem])
