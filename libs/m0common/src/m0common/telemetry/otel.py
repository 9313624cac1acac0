"""Spans by OpenTelemetry."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.util import types

from m0common.telemetry.context import Headers, Ids, ids_of
from m0common.telemetry.traces import Attributes

_wanted: ContextVar[Ids | None] = ContextVar("wanted", default=None)


class _Generator(RandomIdGenerator):
    """Random, but for the first span of an epoch's trace."""

    def generate_trace_id(self) -> int:
        wanted = _wanted.get()
        return super().generate_trace_id() if wanted is None else wanted.trace_id

    def generate_span_id(self) -> int:
        wanted = _wanted.get()
        return super().generate_span_id() if wanted is None else wanted.span_id


class _Sampler(sampling.Sampler):
    """The first span of an epoch is kept, so that its trace is whole; about others `inner` decides."""

    def __init__(self, inner: sampling.Sampler) -> None:
        self._inner = inner

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: types.Attributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> sampling.SamplingResult:
        chosen = self._inner if _wanted.get() is None else sampling.ALWAYS_ON
        return chosen.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"epochs, else {self._inner.get_description()}"


class _Said:
    """A span of OpenTelemetry's."""

    def __init__(self, made: trace.Span) -> None:
        self._made = made

    def note(self, name: str, value: str | int) -> None:
        self._made.set_attribute(name, value)


class OpenTelemetry:
    """A Tracer that hands its spans to `processor`."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        provider = TracerProvider(resource=Resource.create({"service.name": service}), id_generator=_Generator())
        provider.sampler = _Sampler(provider.sampler)
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("m0")

    @contextmanager
    def span(
        self, name: str, headers: Headers, attributes: Attributes, links: Sequence[Headers], *, first: bool
    ) -> Iterator[_Said]:
        """See Tracer."""
        made = self._begun(name, headers, attributes, links, first=first)
        # neither an error's text nor its traceback: they may hold what nobody is to see
        with trace.use_span(made, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield _Said(made)
            except Exception as error:
                made.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
                raise

    def _begun(
        self, name: str, headers: Headers, attributes: Attributes, links: Sequence[Headers], *, first: bool
    ) -> trace.Span:
        others = [trace.Link(found) for each in links if (found := _context(each)).is_valid]
        if not first:
            return self._tracer.start_span(name, _extracted(headers), attributes=dict(attributes), links=others)
        token = _wanted.set(ids_of(headers))
        try:
            return self._tracer.start_span(name, Context(), attributes=dict(attributes), links=others)
        finally:
            _wanted.reset(token)

    def inject(self, headers: Headers) -> Headers:
        """`headers` with the current trace context."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        kept = tuple(item for item in headers if item[0] not in carrier)
        return (*kept, *((key, value.encode()) for key, value in carrier.items()))


def _extracted(headers: Headers) -> Context | None:
    """The context that headers bring; the current one without any."""
    return propagate.extract({key: value.decode("ascii", "replace") for key, value in headers}) if headers else None


def _context(headers: Headers) -> trace.SpanContext:
    return trace.get_current_span(_extracted(headers) or Context()).get_span_context()


def exporting(service: str, endpoint: str) -> OpenTelemetry:
    """A tracer that sends what `service` does to the collector at `endpoint`, over OTLP/HTTP."""
    return OpenTelemetry(service, BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
