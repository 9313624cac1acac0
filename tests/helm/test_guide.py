"""The map of the deployment guide names files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAP = ROOT / "docs" / "operations" / "guide-map.md"
SECTIONS = range(1, 18)


def test_every_section_has_a_row_with_a_file_or_says_what_is_missing():
    rows = [line.split("|")[1:-1] for line in MAP.read_text().splitlines() if re.match(r"\| \d", line)]
    numbers = {int(said) for row in rows for said in re.findall(r"(?:^ |, )(\d+)(?:\.\d+)?", row[0])}
    assert numbers == set(SECTIONS)
    for section, here, shown in rows:
        assert "**Open**" in here or shown.strip(), f"{section}: neither shown nor said to be missing"


def test_what_it_names_is_there():
    text = MAP.read_text()
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (MAP.parent / link).exists(), link
    for path in re.findall(r"`((?:infra|tests|libs|services|programs|config|scripts|docs|\.ci)/[\w./-]+)`", text):
        known = path.replace("infra/docker", "infra/images").replace("infra/k8s/helm", "infra/helm")
        assert (ROOT / known).exists(), path
