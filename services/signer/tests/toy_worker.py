"""A worker's process with the tests' own domain."""

import sys
from pathlib import Path

from m0_signer.workers.serve import serve

sys.path.insert(0, str(Path(__file__).parents[3] / "libs/m0lanes/tests"))

import lanes_world

if __name__ == "__main__":
    serve(lambda _deployment: lanes_world.HEART)
