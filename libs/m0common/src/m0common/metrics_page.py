"""docs/metrics.md, made from the definitions of all packages installed: `python -m m0common.metrics_page` prints it.

A package names its modules with metrics under the entry points `m0.metrics`.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from types import ModuleType

from m0common.telemetry.definition import BOOLEAN, NUMBER, OTHER, SERIES_MAX, VALUE_CHARS_MAX, Definition, Label
from m0common.telemetry.metrics import Counter, Gauge, Histogram

Metric = Counter | Gauge | Histogram

GROUP = "m0.metrics"

HEAD = f"""\
# Metrics

Made from the definitions beside their owners by `python -m m0common.metrics_page`; a test keeps the two alike.

Every process serves `/metrics` at its own port (`make status`; `telemetry.prometheus_bind`) in Prometheus's text
format, beside what its client library says of the process itself (`process_*`, `python_*`).

**Names** are `m0_<part>_<what>_<unit>`, with `_total` at the end of counters: units are base units (seconds, bytes, a
share of 1) or what is counted. What holds or does not is `{BOOLEAN}`, a place in an order a `{NUMBER}`: their names
say no unit.

**Labels** are bounded, whatever strangers send: a label has the values named here, or as many different ones as it
says, those that come first; all others are `{OTHER}`, as are values of more than {VALUE_CHARS_MAX} characters.
No metric has more than {SERIES_MAX:,} series beside one that is all `{OTHER}`. Of a gauge, `{OTHER}` is what was set
last.

**Failures** are counters that do not move while everything works and nobody sends nonsense: an alert may say *more
than 0 in ten minutes*. Where a counter has ordinary values too, those of its labels that are failures are named.
"""


def modules() -> dict[str, ModuleType]:
    """Every module of ours with metrics that is installed, by the name of its part, in order."""
    return {entry.name: entry.load() for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def metrics(module: ModuleType) -> list[Metric]:
    """What a module defines, in its order."""
    return [value for value in vars(module).values() if isinstance(value, Counter | Gauge | Histogram)]


def page(parts: Mapping[str, Iterable[Definition]]) -> str:
    """The whole page, of definitions by part."""
    return "\n".join([HEAD, *(_table(part, definitions) for part, definitions in parts.items())])


def _table(part: str, definitions: Iterable[Definition]) -> str:
    head = [f"## {part}", "", "| metric | kind | unit | labels | failures | meaning |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *map(_row, definitions), ""])


def _row(one: Definition) -> str:
    labels = "<br>".join(map(_label, one.labels))
    failures = "all" if one.failures is True else ", ".join(f"`{value}`" for value in one.failures or ())
    return f"| `{one.name}` | {one.kind} | {one.unit} | {labels} | {failures} | {one.meaning} |"


def _label(label: Label) -> str:
    values = ", ".join(f"`{value}`" for value in label.among) if label.among else f"at most {label.at_most:,}"
    return f"`{label.name}`: {values}"


def main() -> None:
    """Print the page."""
    print(page({part: [each.definition for each in metrics(module)] for part, module in modules().items()}), end="")


if __name__ == "__main__":
    main()
