"""The log builder as a fixture, so that every test file here can use it."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("lanes_log", Path(__file__).with_name("log.py"))
lanes_log = importlib.util.module_from_spec(_spec)
sys.modules["lanes_log"] = lanes_log
_spec.loader.exec_module(lanes_log)
