"""The worlds of the lanes, the signers and the stream as modules, spans in memory, and a real Postgres."""

import sys
from pathlib import Path

import pytest
from m0common.settings import Postgres
from m0common.store import postgres
from m0common.telemetry.otel import OpenTelemetry
from m0common.telemetry.traces import trace_with
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

_ROOT = Path(__file__).parents[2]
for _folder in (
    "libs/m0lanes/tests",
    "libs/m0lanes/tests/loop",
    "libs/m0common/tests/stream",
    "libs/m0index/tests",
    "services/indexer/tests",
    "services/signer/tests",
    "services/realtime/tests",
):
    sys.path.insert(0, str(_ROOT / _folder))


@pytest.fixture
def spans():
    """Everything in this process makes spans, which are kept here."""
    exporter = InMemorySpanExporter()
    trace_with(OpenTelemetry("everything", SimpleSpanProcessor(exporter)))
    yield exporter
    trace_with(None)


@pytest.fixture
async def pool(databases):
    async with postgres.opened(Postgres(dsn=databases.index()), name="test") as opened:
        yield opened
