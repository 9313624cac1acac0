"""Traces, exported only when an endpoint is set; the context travels in Kafka headers as `traceparent`.

An epoch has one trace, its marker's, from the lanes to the chain, the index and the stream: see `epoch_trace`. A raw
event has its own, linked to that of the epoch it is applied in. No trace decides a byte of a lane.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from m0common.telemetry.context import Headers, epoch_headers

Attributes = Mapping[str, str | int]
TRANSACTION = "m0.transaction"
"""Attribute: the signature of a transaction on chain."""


class Span(Protocol):
    """A span that is not over."""

    def note(self, name: str, value: str | int) -> None:
        """Say something about it."""


class Tracer(Protocol):
    """What makes spans: `m0common.telemetry.otel` over OpenTelemetry."""

    def span(
        self, name: str, headers: Headers, attributes: Attributes, links: Sequence[Headers], *, first: bool
    ) -> AbstractContextManager[Span]:
        """A span that continues the trace in `headers`, or is the very span they name when it is the `first` one."""

    def inject(self, headers: Headers) -> Headers:
        """`headers` with the current trace context."""


class _Unsaid:
    """A span where there are none."""

    def note(self, name: str, value: str | int) -> None: ...


@dataclass(slots=True)
class _Process:
    tracer: Tracer | None = None
    deployment: str = ""


_process = _Process()
_unsaid = _Unsaid()


def setup_traces(service: str, endpoint: str, deployment: str) -> None:
    """Export spans over OTLP/HTTP to `endpoint`; an empty endpoint leaves tracing off and free of cost.

    `deployment` is the genesis hash in hex, which tells the traces of epochs from those of other deployments.
    """
    _process.deployment = deployment
    if endpoint:
        from m0common.telemetry.otel import exporting  # noqa: PLC0415 - slow to import and seldom wanted

        trace_with(exporting(service, endpoint))


def trace_with(tracer: Tracer | None) -> None:
    """Make spans with `tracer`, none without one."""
    _process.tracer = tracer


def tracing() -> bool:
    """Whether spans are made."""
    return _process.tracer is not None


def epoch_trace(catalog: str, epoch_id: int) -> Headers:
    """The trace of an epoch, whether spans are made or not; see `epoch_headers`."""
    return epoch_headers(_process.deployment, catalog, epoch_id)


@contextmanager
def span(
    name: str,
    headers: Headers = (),
    attributes: Attributes | None = None,
    links: Sequence[Headers] = (),
    *,
    first: bool = False,
) -> Iterator[Span]:
    """A span that continues the trace in `headers`; does nothing when tracing is off. See `Tracer`."""
    tracer = _process.tracer
    if tracer is None:
        yield _unsaid
        return
    with tracer.span(name, headers, attributes or {}, links, first=first) as made:
        yield made


@contextmanager
def epoch_span(name: str, catalog: str, epoch_id: int, headers: Headers = (), *, first: bool = False) -> Iterator[Span]:
    """A span in the trace of an epoch, below the one in `headers` of a message about it."""
    about: Attributes = {"m0.catalog": catalog, "m0.epoch_id": epoch_id}
    with span(name, headers or epoch_trace(catalog, epoch_id), about, first=first) as made:
        yield made


def inject(headers: Headers = ()) -> Headers:
    """`headers` with the current trace context; unchanged when tracing is off."""
    tracer = _process.tracer
    return headers if tracer is None else tracer.inject(headers)
