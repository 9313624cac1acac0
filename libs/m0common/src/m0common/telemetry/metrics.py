"""What a process counts and measures. Nothing else of the project makes a metric.

Each metric is defined once, in a module named `metrics` beside its owner:

    RUNS = counter("m0_jobs_runs_total", "runs", "Runs of a task, by how they ended.", TASK, RESULT)
    RUNS.labels("trim", "done").inc()

`python -m m0common.metrics_page` makes docs/metrics.md of all of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, Generic, Self, TypeVar

import prometheus_client as prometheus
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from m0common.telemetry.definition import OTHER, SERIES_MAX, Definition, Label

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of what takes milliseconds to seconds."""

Series = TypeVar("Series", prometheus.Counter, prometheus.Gauge, prometheus.Histogram)


class Metric(ABC, Generic[Series]):
    """The series of one definition, as many as its labels allow."""

    SAMPLE: ClassVar[str]
    """End of the name of the sample that says how much."""

    def __init__(self, definition: Definition, registry: CollectorRegistry = REGISTRY) -> None:
        self.definition = definition
        names = [label.name for label in definition.labels]
        self._family: Series = self._make(registry, definition.name, definition.meaning, names)
        self._known: tuple[set[str], ...] = tuple(set() for _ in definition.labels)
        self._series: dict[tuple[str, ...], Series] = {}

    @abstractmethod
    def _make(self, registry: CollectorRegistry, name: str, meaning: str, labels: list[str]) -> Series: ...

    def over(self, registry: CollectorRegistry) -> Self:
        """Another one of the same definition, in a registry of its own."""
        return type(self)(self.definition, registry)

    def labels(self, *values: str) -> Series:
        """The series of these label values, in the order of the definition; `other` stands for what has no place."""
        found = self._series.get(values)
        if found is not None:
            return found
        place = self._placed(values)
        found = self._series.get(place)
        if found is None:
            found = self._series[place] = self._family.labels(*place)
        return found

    def forget(self, *values: str) -> None:
        """Say nothing of these label values any more."""
        if self._series.pop(values, None) is not None:
            self._family.remove(*values)

    def values(self) -> Iterator[tuple[dict[str, str], float]]:
        """Each series by its labels: a counter's count, a gauge's value, a histogram's number of observations."""
        for family in self._family.collect():
            for sample in family.samples:
                if sample.name == family.name + self.SAMPLE:
                    yield sample.labels, sample.value

    def _placed(self, values: tuple[str, ...]) -> tuple[str, ...]:
        place = tuple(map(_value, self.definition.labels, values, self._known))
        full = len(self._series) >= SERIES_MAX
        return (OTHER,) * len(place) if full and place not in self._series else place


def _value(label: Label, value: str, known: set[str]) -> str:
    if not label.takes(value, known):
        return OTHER
    known.add(value)
    return value


class Counter(Metric[prometheus.Counter]):
    """Only grows, and begins at 0 with its process."""

    SAMPLE = "_total"

    def _make(self, registry: CollectorRegistry, name: str, meaning: str, labels: list[str]) -> prometheus.Counter:
        return prometheus.Counter(name, meaning, labels, registry=registry)

    def inc(self, amount: float = 1) -> None:
        """Count, where there are no labels."""
        self._family.inc(amount)

    def failures(self) -> dict[tuple[str, ...], float]:
        """What was counted that does not happen in ordinary work, by label values."""
        fails = self.definition.fails
        return {tuple(labels.values()): value for labels, value in self.values() if value and fails(labels)}


class Gauge(Metric[prometheus.Gauge]):
    """Says how much there is now. `other` is what was set last of whatever has no place."""

    SAMPLE = ""

    def _make(self, registry: CollectorRegistry, name: str, meaning: str, labels: list[str]) -> prometheus.Gauge:
        return prometheus.Gauge(name, meaning, labels, registry=registry)

    def set(self, value: float) -> None:
        """Say how much, where there are no labels."""
        self._family.set(value)

    def inc(self, amount: float = 1) -> None:
        """Say that it is more, where there are no labels."""
        self._family.inc(amount)

    def dec(self, amount: float = 1) -> None:
        """Say that it is less, where there are no labels."""
        self._family.dec(amount)

    def set_function(self, value: Callable[[], float]) -> None:
        """Ask `value` whenever somebody wants to know, where there are no labels."""
        self._family.set_function(value)


class Histogram(Metric[prometheus.Histogram]):
    """How often something took how long."""

    SAMPLE = "_count"

    def _make(self, registry: CollectorRegistry, name: str, meaning: str, labels: list[str]) -> prometheus.Histogram:
        return prometheus.Histogram(name, meaning, labels, registry=registry, buckets=self.definition.buckets)


def counter(name: str, unit: str, meaning: str, *labels: Label, failures: bool | tuple[str, ...] = False) -> Counter:
    """A counter; see `Definition`, also for what is raised."""
    return Counter(Definition(name, "counter", unit, meaning, labels, failures))


def gauge(name: str, unit: str, meaning: str, *labels: Label) -> Gauge:
    """A gauge; see `Definition`, also for what is raised."""
    return Gauge(Definition(name, "gauge", unit, meaning, labels))


def seconds(name: str, meaning: str, *labels: Label, buckets: tuple[float, ...] = BUCKETS_S) -> Histogram:
    """A histogram of times; see `Definition`, also for what is raised."""
    return Histogram(Definition(name, "histogram", "seconds", meaning, labels, buckets=buckets))


def exposition() -> tuple[bytes, str]:
    """All that this process says, and its content type."""
    return generate_latest(), CONTENT_TYPE_LATEST
