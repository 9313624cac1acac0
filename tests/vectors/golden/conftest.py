"""The golden log, its runner and the second implementation of the hashes, for tests here to import."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]
