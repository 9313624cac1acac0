"""Two builds of one commit: what is pulled for one is there for the other."""

import json
import os
import subprocess
import sys

import pytest
from compose_world import ROOT

SMOKE = bool(os.environ.get("SMOKE"))


@pytest.mark.timeout(1800)
@pytest.mark.skipif(SMOKE, reason="builds an image from nothing, which takes minutes")
def test_a_build_without_a_cache_gives_the_same_layers(engine, images):
    def layers(tag):
        (found,) = json.loads(engine("image", "inspect", f"m0club/realtime:{tag}"))
        return found["RootFS"]["Layers"]

    before = layers("dev")
    for file in (ROOT / "infra" / "images" / "start.py", ROOT / "services" / "realtime" / "pyproject.toml"):
        file.touch()  # as a clone made later has them
    command = [sys.executable, "infra/images/build.py", "--no-cache", "--tag", "again", "realtime"]
    subprocess.run(command, cwd=ROOT, check=True)
    assert len(before) > 4
    assert layers("again") == before
