"""Spans by OpenTelemetry."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import context, propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from m0common.stream.records import Headers


class OpenTelemetry:
    """A Tracer over one provider of OpenTelemetry's."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("m0")

    @contextmanager
    def span(self, name: str, headers: Sequence[tuple[str, bytes]]) -> Iterator[None]:
        """A span that continues the trace in `headers`."""
        parent = propagate.extract({key: value.decode("ascii", "replace") for key, value in headers})
        token = context.attach(parent)
        try:
            with self._tracer.start_as_current_span(name):
                yield
        finally:
            context.detach(token)

    def inject(self, headers: Headers) -> Headers:
        """`headers` with the current trace context."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        kept = tuple(item for item in headers if item[0] not in carrier)
        return (*kept, *((key, value.encode()) for key, value in carrier.items()))


def exporting(service: str, endpoint: str) -> OpenTelemetry:
    """A tracer that sends what `service` does to the collector at `endpoint`, over OTLP/HTTP."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OpenTelemetry(provider)
