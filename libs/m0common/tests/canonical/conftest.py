"""The second implementation of the protocol's hashes, for tests to import as `independent`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[4] / "tests" / "vectors"))
