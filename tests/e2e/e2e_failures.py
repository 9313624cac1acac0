"""What the processes of a stack count that does not happen in ordinary work."""

import urllib.request
from collections.abc import Iterator

from e2e_stack import Stack
from m0common.metrics_page import metrics, modules
from m0common.telemetry.definition import Definition
from m0common.telemetry.metrics import Counter
from m0local.settings import EXTERNAL, PORTS
from prometheus_client.parser import text_string_to_metric_families


def failures(stack: Stack) -> dict[str, float]:
    """Every counter of failures that has moved: by process, name and labels, how far."""
    known = {counter.name: counter for counter in counters()}
    return {
        f"{process}: {name}{labels}": value
        for process in processes(stack)
        for name, labels, value in samples(PORTS[process] + stack.offset)
        if value and name in known and known[name].fails(labels)
    }


def counters() -> Iterator[Definition]:
    """The definitions of all counters of the packages that are installed."""
    for module in modules().values():
        yield from (each.definition for each in metrics(module) if isinstance(each, Counter))


def processes(stack: Stack) -> list[str]:
    """Those of ours that run: each serves its metrics."""
    return [name for name in stack.status() if name in PORTS and name not in EXTERNAL]


def samples(port: int) -> Iterator[tuple[str, dict[str, str], float]]:
    """Name, labels and value of everything that a process says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text = response.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value
