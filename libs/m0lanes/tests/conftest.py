"""The tests' own domain and log builder, so that every test file here can import them."""

import importlib.util
import sys
from pathlib import Path

for _name in (
    "lanes_toy",
    "lanes_world",
    "lanes_fleet",
    "lanes_lives",
    "lanes_store",
    "lanes_first",
    "lanes_book",
    "lanes_noise",
    "lanes_steps",
    "lanes_story",
    "lanes_copies",
    "lanes_gaps",
    "lanes_course",
):
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).with_name(f"{_name}.py"))
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[_name] = _module
    _spec.loader.exec_module(_module)
