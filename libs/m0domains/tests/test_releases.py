"""What changes a domain's release: its own deciding files and the heart's, and nothing of another domain."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import m0domains
import m0lanes
import m0quant
import pytest

SAY = """
import json
from m0lanes.domains import load_domains
from m0lanes.release import release_of
print(json.dumps({name: release_of(domain).hex() for name, domain in load_domains().items()}))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A folder of the packages that decide leaves, each file as it is installed."""
    tree = tmp_path_factory.mktemp("tree")
    for package in (m0domains, m0lanes, m0quant):
        folder = Path(package.__file__).parent
        shutil.copytree(folder, tree / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


def releases(tree):
    env = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", SAY], env=env, cwd=tree, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("m0domains/sports/features.py", {"sports"}),
        ("m0domains/crypto/models.py", {"crypto"}),
        ("m0domains/sports/dataset.py", set()),
        ("m0quant/football.py", {"sports", "crypto"}),
        ("m0lanes/door.py", {"sports", "crypto"}),
    ],
)
def test_a_comment_changes_the_release_of_whoever_the_file_decides_for_and_of_nobody_else(tree, file, changed):
    before, path = releases(tree), tree / file
    text = path.read_text()
    path.write_text(text + "\n# a comment\n")
    try:
        after = releases(tree)
    finally:
        path.write_text(text)
    assert {name for name in before if before[name] != after[name]} == changed
    assert set(before) == set(after) >= {"sports", "crypto"}
