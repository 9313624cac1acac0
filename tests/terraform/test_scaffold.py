"""The scaffold parses, says what each value is for, and makes what the chart's production values look for."""

from pathlib import Path

import hcl2
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "infra" / "terraform").glob("*.tf"))
PROD = yaml.safe_load((ROOT / "infra" / "helm" / "m0club" / "values.prod.yaml").read_text())


def read(file):
    with file.open() as text:
        return hcl2.load(text)


@pytest.fixture(scope="module")
def blocks():
    """Kind → what all files say of it."""
    found = {}
    for file in FILES:
        for kind, said in read(file).items():
            if isinstance(said, list):
                found.setdefault(kind, []).extend(said)
    return found


def test_every_value_says_what_it_is_for(blocks):
    for kind in ("variable", "output"):
        assert blocks[kind]
        for block in blocks[kind]:
            for name, said in block.items():
                assert said["description"].strip('"').endswith("."), name


def test_the_pool_of_signers_is_the_one_that_the_chart_looks_for():
    text = (ROOT / "infra" / "terraform" / "cluster.tf").read_text()
    ((label, value),) = PROD["signer"]["nodeSelector"].items()
    (taint,) = PROD["signer"]["tolerations"]
    assert f'{{ "{label}" = "{value}" }}' in text
    assert f'["{taint["key"]}"]' in text
    assert taint["value"] == "true"
    assert taint["effect"] == "NoSchedule"
    assert 'effect = "NO_SCHEDULE"' in text


def test_what_is_looked_away_from_says_why():
    for file in FILES:
        for line in file.read_text().splitlines():
            if "checkov:skip" in line:
                assert len(line.split(":", 2)[2]) > 20, f"{file.name}: {line}"
