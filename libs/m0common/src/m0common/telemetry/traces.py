"""OpenTelemetry traces, only when an endpoint is set; the context travels in Kafka headers as `traceparent`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import context, propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from m0common.stream.records import Headers

_state = {"on": False}


def setup_traces(service: str, endpoint: str, exporter: SpanExporter | None = None) -> None:
    """Export spans over OTLP/HTTP to `endpoint`; an empty endpoint leaves tracing off and free of cost."""
    if not endpoint and exporter is None:
        return
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - heavy

        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    _state["on"] = True


def tracing() -> bool:
    """Whether spans are exported."""
    return _state["on"]


@contextmanager
def span(name: str, headers: Sequence[tuple[str, bytes]] = ()) -> Iterator[None]:
    """A span that continues the trace in `headers`; does nothing when tracing is off."""
    if not _state["on"]:
        yield
        return
    parent = propagate.extract({key: value.decode("ascii", "replace") for key, value in headers})
    token = context.attach(parent)
    try:
        with trace.get_tracer("m0").start_as_current_span(name):
            yield
    finally:
        context.detach(token)


def inject(headers: Headers = ()) -> Headers:
    """`headers` with the current trace context; unchanged when tracing is off."""
    if not _state["on"]:
        return headers
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    kept = tuple(item for item in headers if item[0] not in carrier)
    return (*kept, *((key, value.encode()) for key, value in carrier.items()))
