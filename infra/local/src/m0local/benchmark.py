"""A benchmark beside an Apache Kafka of its own: `python -m m0local.benchmark FILE [ARGUMENT…]`.

FILE has a function `async def on_kafka(broker, arguments)`. It is run in a process set up as a service's is, with that
Kafka, on which it makes its topics, and the arguments; nothing is left behind.
"""

import importlib.util
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import uvloop
from m0common.process import tune_gc
from m0common.stream.kafka_options import KafkaOptions
from m0common.telemetry.logs import setup_logs

from m0local.testing import TestBroker, kafka_server

Benchmark = Callable[[TestBroker, Sequence[str]], Coroutine[Any, Any, object]]


def loaded(file: Path) -> Benchmark:
    """The benchmark in `file`, which may import what lies beside it."""
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None or not file.exists():
        raise SystemExit(f"Error: {file} is no Python file: name one of libs/*/bench.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    benchmark: Benchmark = module.on_kafka
    return benchmark


def main() -> None:
    """Start Kafka and run the benchmark."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    benchmark = loaded(Path(sys.argv[1]).resolve())
    setup_logs("bench", "warn")
    tune_gc()
    with tempfile.TemporaryDirectory() as directory, kafka_server(Path(directory)) as server:
        uvloop.run(_run(benchmark, KafkaOptions(server.bootstrap, "bench"), sys.argv[2:]))


async def _run(benchmark: Benchmark, options: KafkaOptions, arguments: Sequence[str]) -> None:
    broker = TestBroker(options)
    try:
        await benchmark(broker, arguments)
    finally:
        await broker.close()


if __name__ == "__main__":
    main()
