"""For benchmarks: a process set up as a service's is, beside an Apache Kafka of its own."""

import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop
from m0common.process import tune_gc
from m0common.stream.kafka_options import KafkaOptions
from m0common.telemetry.logs import setup_logs

from m0local.testing import kafka_server


def run_on_kafka(bench: Callable[[KafkaOptions], Coroutine[Any, Any, object]]) -> None:
    """Start Kafka, run `bench` with the way to reach it, and leave nothing behind."""
    setup_logs("bench", "warn")
    tune_gc()
    with tempfile.TemporaryDirectory() as directory, kafka_server(Path(directory)) as server:
        uvloop.run(bench(KafkaOptions(server.bootstrap, "bench")))
