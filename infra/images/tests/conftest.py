"""Scripts of infra/images are no package: they are found as they find each other."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
