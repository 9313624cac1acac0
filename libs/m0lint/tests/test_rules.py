"""Each rule finds what it is for, and leaves what it is not for alone."""

from pathlib import Path

import pytest
from m0lint.main import check

LANE = Path("libs/m0lanes/src/m0lanes/x.py")
CANONICAL = Path("libs/m0common/src/m0common/canonical/x.py")
SERVICE = Path("services/api/src/m0_api/x.py")


def codes(path: Path, text: str) -> list[str]:
    return [finding.split(": ")[1].split(" ")[0] for finding in check(path, text)]


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        (LANE, "import time\ntime.monotonic()", "M0L001"),
        (LANE, "from datetime import datetime\ndatetime.now()", "M0L001"),
        (LANE, "import random\nrandom.random()", "M0L002"),
        (LANE, "import random\nrandom.Random()", "M0L002"),
        (LANE, "import os\nos.urandom(3)", "M0L002"),
        (LANE, "import math\nmath.exp(1)", "M0L003"),
        (LANE, "x = 2 ** 0.5", "M0L003"),
        (CANONICAL, "x = 1 / 2", "M0L004"),
        (CANONICAL, "x = 0.5", "M0L004"),
        (CANONICAL, "x = float(3)", "M0L004"),
        (LANE, "import struct\nstruct.pack('<d', 1)", "M0L005"),
        (LANE, "for x in {1, 2}: pass", "M0L006"),
        (LANE, "y = [x for x in set(z)]", "M0L006"),
        (CANONICAL, "for k, v in d.items(): pass", "M0L007"),
        (SERVICE, "import time\nasync def f():\n    time.sleep(1)", "M0L008"),
        (SERVICE, "import time\ntime.time()", "M0L009"),
    ],
)
def test_it_finds(path: Path, text: str, code: str):
    assert code in codes(path, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (LANE, "import random\nrandom.Random(7)"),
        (LANE, "import math\nmath.sqrt(2)\nx = y ** 2"),
        (CANONICAL, "for k, v in sorted(d.items()): pass\nx = 7 // 2"),
        (LANE, "for x in sorted({1, 2}): pass"),
        (SERVICE, "import time\nasync def f():\n    def g():\n        time.sleep(1)\n    return g"),
        (SERVICE, "import time\ntime.monotonic()"),
        (SERVICE, "import time\ntime.time()  # m0lint: allow M0L009 the one place that may"),
        (Path("libs/m0common/src/m0common/clock.py"), "import time\ntime.time_ns()"),
    ],
)
def test_it_leaves_alone(path: Path, text: str):
    assert codes(path, text) == []
