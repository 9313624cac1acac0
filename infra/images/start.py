"""Run the module that M0_MODULE names as the main program: `python -m` with a name that the image knows."""

import os
import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    here = str(Path(__file__).parent.resolve())
    sys.path[:] = [folder for folder in sys.path if folder != here]
    runpy.run_module(os.environ["M0_MODULE"], run_name="__main__", alter_sys=True)
