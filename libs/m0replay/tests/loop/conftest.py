"""Replay of what the live stages leave on every broker."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "m0lanes" / "tests" / "loop"))  # for loop_world and loop_fixtures
sys.path.insert(0, str(Path(__file__).parents[3] / "m0common" / "tests" / "stream"))  # for stream_world

from loop_fixtures import kafka_stages, memory_stages, own_kafka, stages

__all__ = ["kafka_stages", "memory_stages", "own_kafka", "stages"]
