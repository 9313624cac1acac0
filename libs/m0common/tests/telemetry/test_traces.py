"""What travels of a trace, and the trace that an epoch has by its name."""

import hashlib

import pytest
from m0common.telemetry.context import epoch_headers, ids_of, trace_of, traceparent
from m0common.telemetry.otel import OpenTelemetry
from m0common.telemetry.traces import epoch_span, epoch_trace, inject, span, trace_with
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

EPOCH = epoch_trace("sports", 7)


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    trace_with(OpenTelemetry("test", SimpleSpanProcessor(exporter)))
    yield exporter
    trace_with(None)


def test_of_many_headers_the_last_trace_that_is_no_burden_gets_in():
    given = (("a", b"1"), ("traceparent", b"x"), ("traceparent", PARENT), ("traceparent", b"y" * 129), ("b", None))
    assert trace_of(given) == (("traceparent", PARENT),)
    assert trace_of((("a", b"1"),)) == ()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00-1",
        PARENT.upper(),
        PARENT + b"-x",
        b"01" + PARENT[2:],
        PARENT.replace(b"0af7651916cd43dd8448eb211c80319c", b"0" * 32),
        PARENT.replace(b"b7ad6b7169203331", b"0" * 16),
        b'"}' + PARENT[2:],
        "00-é".encode(),
    ],
)
def test_a_header_of_another_form_is_shown_to_nobody(value):
    assert traceparent((("traceparent", value),)) == ""
    assert ids_of((("traceparent", value),)) is None


def test_a_header_of_the_form_is_shown_as_it_is():
    assert traceparent((("traceparent", PARENT),)) == PARENT.decode()
    assert ids_of((("traceparent", PARENT),)) == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)


def test_an_epochs_trace_follows_from_deployment_catalog_and_number():
    digest = hashlib.sha256(b"M0TRACE1" + b"ab" * 32 + b"sports\0" + (7).to_bytes(8, "little")).hexdigest()
    assert traceparent(epoch_headers("ab" * 32, "sports", 7)) == f"00-{digest[:32]}-{digest[32:48]}-01"
    others = {epoch_headers(d, c, n) for d in ("", "ab" * 32) for c in ("sports", "crypto") for n in (7, 8)}
    assert len(others) == 8


def test_without_a_tracer_an_epoch_has_its_trace_all_the_same_and_no_span_is_made():
    with epoch_span("work", "sports", 7) as made:
        made.note("m0.transaction", "abc")
        assert inject(epoch_trace("sports", 7)) == epoch_trace("sports", 7)
        assert inject() == ()


def test_the_first_span_of_an_epoch_is_the_one_that_its_trace_names(spans):
    with epoch_span("marker", "sports", 7, first=True):
        assert ids_of(inject()) == ids_of(epoch_trace("sports", 7))
    with epoch_span("later", "sports", 7):
        pass
    first, later = spans.get_finished_spans()
    assert first.parent is None
    assert later.parent.span_id == first.context.span_id
    assert later.context.trace_id == first.context.trace_id
    assert later.context.span_id != first.context.span_id
    assert dict(later.attributes) == {"m0.catalog": "sports", "m0.epoch_id": 7}


def test_an_ordinary_span_after_the_first_of_an_epoch_has_a_trace_of_its_own(spans):
    with epoch_span("marker", "sports", 7, first=True):
        pass
    with span("other"):
        pass
    first, other = spans.get_finished_spans()
    assert other.context.trace_id != first.context.trace_id


def test_a_sampler_that_keeps_nothing_keeps_the_traces_of_epochs_whole(monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    exporter = InMemorySpanExporter()
    tracer = OpenTelemetry("test", SimpleSpanProcessor(exporter))
    for name, headers, first in (("event", (), False), ("marker", EPOCH, True), ("later", EPOCH, False)):
        with tracer.span(name, headers, {}, (), first=first):
            pass
    assert [made.name for made in exporter.get_finished_spans()] == ["marker", "later"]


def test_links_lead_to_other_traces_and_nonsense_to_none(spans):
    with span("event", (("traceparent", PARENT),), links=[epoch_trace("sports", 7), (("traceparent", b"00-1"),), ()]):
        pass
    (event,) = spans.get_finished_spans()
    assert [link.context.trace_id for link in event.links] == [ids_of(epoch_trace("sports", 7)).trace_id]
    assert event.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C


def test_of_an_error_a_span_says_the_kind_and_never_the_text(spans):
    with pytest.raises(RuntimeError), span("fails"):
        raise RuntimeError("https://node.example/?api-key=hunter2")
    (failed,) = spans.get_finished_spans()
    assert failed.status.description == "RuntimeError"
    assert failed.events == ()
    assert "hunter2" not in failed.to_json()
