"""What a metric is: its name in Prometheus's form, its unit, its meaning, its labels and how each is bounded."""

import re
from dataclasses import dataclass
from typing import Final, Literal

BOOLEAN: Final = "1 or 0"
"""Unit of what holds or does not; the name says what, and no unit."""
NUMBER: Final = "number"
"""Unit of a position or an ordinal: nothing is counted, so the name bears no unit."""
UNNAMED: Final = frozenset({BOOLEAN, NUMBER})
OTHER: Final = "other"
"""What a label says of every value that has no place of its own."""
SERIES_MAX: Final = 10_000
"""Series of one metric; what comes after them is all `other`."""
VALUE_CHARS_MAX: Final = 128

Kind = Literal["counter", "gauge", "histogram"]

_NAME = re.compile(r"m0(?:_[a-z][a-z0-9]*){2,}")
_LABEL = re.compile(r"[a-z]+(?:_[a-z]+)*")
_TAKEN: Final = frozenset({"job", "instance", "le", "quantile", "exported_job"})
"""Labels that a scrape or a histogram sets itself."""
_WORDS: Final = {
    **dict.fromkeys(("ms", "us", "ns", "s", "sec", "milliseconds", "minutes", "hours", "days"), "seconds"),
    **dict.fromkeys(("b", "kb", "mb", "gb", "kib", "mib", "kilobytes", "megabytes"), "bytes"),
    **dict.fromkeys(("percent", "pct", "bps", "ppb", "share"), "ratio"),
    **dict.fromkeys(("counter", "gauge", "histogram", "count", "sum", "bucket", "created", "info"), "no such word"),
}
"""Words that a name does not have, and what stands there instead."""


class MetricError(ValueError):
    """A metric is not defined as the house wants it: the sentence says what and how."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label: either of the values in `among`, or of the first `at_most` that appear. All others are `other`."""

    name: str
    among: tuple[str, ...] = ()
    at_most: int = 0

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.name) or self.name in _TAKEN:
            raise MetricError(f"label {self.name!r}: small letters and _, and none of {', '.join(sorted(_TAKEN))}")
        if bool(self.among) == (self.at_most > 0):
            raise MetricError(f"label {self.name!r}: give either the values it has or how many it has at most")

    @property
    def most(self) -> int:
        """How many values it can have, `other` aside."""
        return len(self.among) or self.at_most

    def takes(self, value: str, known: set[str]) -> bool:
        """Whether `value` has a place beside the `known` ones."""
        if value in known:
            return True
        if self.among:
            return value in self.among
        plain = len(value) <= VALUE_CHARS_MAX and value.isprintable()
        return plain and len(known) < self.at_most


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric. `unit` is a base unit or what is counted, and ends the name (before `_total` of a counter).

    `failures` says of a counter what does not move in ordinary work: True is all of it, else these label values.
    Raises MetricError when the name, the unit or the meaning is not as it should be.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    labels: tuple[Label, ...] = ()
    failures: bool | tuple[str, ...] = False
    buckets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem is not None:
            raise MetricError(f"metric {self.name!r}: {problem}")

    def _problem(self) -> str | None:
        if not _NAME.fullmatch(self.name):
            return "write it as m0_<part>_<what>_<unit>, with _total at the end of a counter"
        wrong = next((word for word in self.name.split("_") if word in _WORDS), None)
        if wrong is not None:
            return f"{wrong} has no place in a name (Prometheus: {_WORDS[wrong]})"
        if self.name.endswith("_total") != (self.kind == "counter"):
            return "_total is how the name of a counter ends, and of nothing else"
        if self.unit not in UNNAMED and not self.name.removesuffix("_total").endswith(f"_{self.unit}"):
            return f"it counts or measures {self.unit}, which has to end its name"
        if not self.meaning.endswith("."):
            return "its meaning is a sentence"
        if self.failures and self.kind != "counter":
            return "a counter alone counts failures"
        return self._unknown_failure()

    def _unknown_failure(self) -> str | None:
        if isinstance(self.failures, bool):
            return None
        named = {value for label in self.labels for value in label.among} | {OTHER}
        unknown = [value for value in self.failures if value not in named]
        return f"no label has the values {unknown}" if unknown else None

    @property
    def series_max(self) -> int:
        """How many series it can have, whatever labels are given."""
        product = 1
        for label in self.labels:
            product *= label.most + 1
        return min(product, SERIES_MAX + 1)

    def fails(self, labels: dict[str, str]) -> bool:
        """Whether the series with these labels counts what does not happen in ordinary work."""
        if isinstance(self.failures, bool):
            return self.failures
        return any(value in self.failures for value in labels.values())
