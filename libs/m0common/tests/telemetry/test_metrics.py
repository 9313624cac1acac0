"""A metric is what the house wants it to be, or is none; its labels stay few whatever they are given."""

import pytest
from m0common.telemetry.definition import NUMBER, OTHER, SERIES_MAX, Definition, Label, MetricError
from m0common.telemetry.metrics import Counter, Gauge
from prometheus_client import CollectorRegistry

KIND = Label("kind", among=("kept", "repeated"))
SOURCE = Label("source", at_most=3)


def pieces(*labels, failures=False):
    definition = Definition("m0_test_pieces_total", "counter", "pieces", "Pieces taken in.", labels, failures)
    return Counter(definition, CollectorRegistry())


def counted(metric):
    return {tuple(labels.values()): value for labels, value in metric.values()}


@pytest.mark.parametrize(
    ("name", "kind", "unit", "why"),
    [
        ("pieces_total", "counter", "pieces", "write it as m0_"),
        ("m0_pieces", "gauge", "pieces", "write it as m0_"),
        ("m0_Test_pieces", "gauge", "pieces", "write it as m0_"),
        ("m0_test__pieces", "gauge", "pieces", "write it as m0_"),
        ("m0_test_pieces", "counter", "pieces", "_total"),
        ("m0_test_pieces_total", "gauge", "pieces", "_total"),
        ("m0_test_delay_ms", "gauge", "ms", "seconds"),
        ("m0_test_size_kb", "gauge", "kb", "bytes"),
        ("m0_test_full_percent", "gauge", "percent", "ratio"),
        ("m0_test_pieces_count", "gauge", "count", "no place"),
        ("m0_test_pieces_removed_total", "counter", "pieces", "end its name"),
        ("m0_test_lag", "gauge", "seconds", "end its name"),
    ],
)
def test_a_name_that_does_not_follow_the_scheme_is_refused(name, kind, unit, why):
    with pytest.raises(MetricError, match=why):
        Definition(name, kind, unit, "A sentence.")


def test_a_meaning_is_a_sentence():
    with pytest.raises(MetricError, match="sentence"):
        Definition("m0_test_pieces", "gauge", "pieces", "pieces here")


def test_failures_are_what_a_counter_counts_and_a_label_says():
    with pytest.raises(MetricError, match="a counter alone"):
        Definition("m0_test_pieces", "gauge", "pieces", "Pieces.", failures=True)
    with pytest.raises(MetricError, match="broken"):
        pieces(KIND, failures=("broken",))


@pytest.mark.parametrize(
    ("name", "bounds"),
    [("Kind", {"at_most": 3}), ("job", {"at_most": 3}), ("kind", {}), ("kind", {"at_most": 3, "among": ("a",)})],
)
def test_a_label_without_a_bound_or_with_a_name_that_scrapes_use_is_refused(name, bounds):
    with pytest.raises(MetricError, match=name):
        Label(name, **bounds)


def test_a_value_that_a_label_does_not_have_is_other():
    metric = pieces(KIND)
    for value in ("kept", "broken", "kept", "worse"):
        metric.labels(value).inc()
    assert counted(metric) == {("kept",): 2, (OTHER,): 2}


def test_the_first_values_keep_their_places_and_the_rest_is_other():
    metric = pieces(SOURCE)
    for value in ("a", "b", "c", "d", "e", "a"):
        metric.labels(value).inc()
    assert counted(metric) == {("a",): 2, ("b",): 1, ("c",): 1, (OTHER,): 2}


@pytest.mark.parametrize("value", ["x" * 129, "a\nb", "\0", "\ud800"])
def test_a_value_that_is_long_or_cannot_be_printed_is_other(value):
    metric = pieces(SOURCE)
    metric.labels(value).inc()
    assert counted(metric) == {(OTHER,): 1}


def test_all_series_together_are_bounded_too():
    metric = pieces(Label("source", at_most=200), Label("topic", at_most=200))
    for number in range(SERIES_MAX + 500):
        metric.labels(str(number % 200), str(number // 200)).inc()
    values = counted(metric)
    assert len(values) == metric.definition.series_max == SERIES_MAX + 1
    assert values[OTHER, OTHER] == 500


def test_what_is_forgotten_is_not_said_any_more_and_may_come_back():
    metric = Gauge(Definition("m0_test_place", "gauge", NUMBER, "A place.", (SOURCE,)), CollectorRegistry())
    metric.labels("a").set(3)
    metric.forget("a")
    metric.forget("never seen")
    assert counted(metric) == {}
    metric.labels("a").set(4)
    assert counted(metric) == {("a",): 4}


def test_failures_are_told_from_what_is_ordinary():
    metric = pieces(KIND, failures=("repeated",))
    metric.labels("kept").inc()
    assert metric.failures() == {}
    metric.labels("repeated").inc()
    assert metric.failures() == {("repeated",): 1}
    everything = pieces(SOURCE, failures=True)
    everything.labels("a").inc()
    assert everything.failures() == {("a",): 1}
