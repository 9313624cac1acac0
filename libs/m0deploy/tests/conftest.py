"""Worlds of other packages' tests as modules: catalogs of a deployment in memory, and what an index is made of."""

import importlib.util
import sys
from pathlib import Path

LIBS = Path(__file__).parents[2]
for path in (LIBS / "m0replay" / "tests" / "catalog_world.py", LIBS / "m0index" / "tests" / "index_scene.py"):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[path.stem])
