"""Traces, only when an endpoint is set; the context travels in Kafka headers as `traceparent`."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from m0common.stream.records import Headers


class Tracer(Protocol):
    """What makes spans: `m0common.telemetry.otel` over OpenTelemetry."""

    def span(self, name: str, headers: Sequence[tuple[str, bytes]]) -> AbstractContextManager[None]:
        """A span that continues the trace in `headers`."""

    def inject(self, headers: Headers) -> Headers:
        """`headers` with the current trace context."""


_state: dict[str, Tracer | None] = {"tracer": None}


def setup_traces(service: str, endpoint: str) -> None:
    """Export spans over OTLP/HTTP to `endpoint`; an empty endpoint leaves tracing off and free of cost."""
    if endpoint:
        from m0common.telemetry.otel import exporting  # noqa: PLC0415 - slow to import and seldom wanted

        trace_with(exporting(service, endpoint))


def trace_with(tracer: Tracer | None) -> None:
    """Make spans with `tracer`, none without one."""
    _state["tracer"] = tracer


def tracing() -> bool:
    """Whether spans are made."""
    return _state["tracer"] is not None


@contextmanager
def span(name: str, headers: Sequence[tuple[str, bytes]] = ()) -> Iterator[None]:
    """A span that continues the trace in `headers`; does nothing when tracing is off."""
    tracer = _state["tracer"]
    if tracer is None:
        yield
        return
    with tracer.span(name, headers):
        yield


def inject(headers: Headers = ()) -> Headers:
    """`headers` with the current trace context; unchanged when tracing is off."""
    tracer = _state["tracer"]
    return headers if tracer is None else tracer.inject(headers)
