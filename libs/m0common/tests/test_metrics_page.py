"""docs/metrics.md says what is counted and measured, and all of it stays bounded."""

from pathlib import Path

import pytest
from m0common.metrics_page import metrics, modules, page
from prometheus_client import CollectorRegistry

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docs" / "metrics.md"
PARTS = {part: metrics(module) for part, module in modules().items()}
METRICS = [each for part in PARTS.values() for each in part]


def test_the_page_is_what_the_definitions_make():
    made = page({part: [each.definition for each in each_of] for part, each_of in PARTS.items()})
    assert FILE.read_text("utf-8") == made, "run: python -m m0common.metrics_page > docs/metrics.md"


def test_every_module_with_metrics_is_named_as_an_entry_point():
    found = {path for folder in ("libs", "services", "infra") for path in (ROOT / folder).glob("*/src/**/metrics.py")}
    named = {Path(module.__file__ or "") for module in modules().values()}
    assert found - named == {ROOT / "libs/m0common/src/m0common/telemetry/metrics.py"}
    assert all(PARTS.values())


def test_a_metric_is_named_after_the_part_that_defines_it():
    for part, each_of in PARTS.items():
        prefixes = ("m0_process_", "m0_side_") if part == "process" else (f"m0_{part}_",)
        assert [each.definition.name for each in each_of if not each.definition.name.startswith(prefixes)] == []


def test_other_pages_name_no_metric_that_is_not_there():
    import re

    known = {each.definition.name for each in METRICS}
    parts = "|".join([*PARTS, "side"])
    for text in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        named = set(re.findall(rf"\bm0_(?:{parts})_[a-z_]+\b(?=[`{{ ])", text.read_text("utf-8")))
        assert named - known == set(), text


@pytest.mark.parametrize("metric", METRICS, ids=[each.definition.name for each in METRICS])
def test_a_flood_of_every_label_makes_no_more_series_than_are_said(metric):
    own = metric.over(CollectorRegistry())
    labels = own.definition.labels
    strange = ("", "x" * 100_000, "a\nb", "\ud800", '"}', "é" * 64)
    for number in range(3_000):
        if labels:
            own.labels(*(strange[number] if number < len(strange) else f"{x.name}-{number}" for x in labels))
    series = len(list(own.values()))
    most = max((label.most for label in labels), default=0)
    assert series <= min(own.definition.series_max, most + 2 ** len(labels))
