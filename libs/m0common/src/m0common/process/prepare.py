"""What a process does before anything else: settings, logs, traces, what it says it is, garbage collection."""

import gc
from collections.abc import Callable, Collection
from importlib.metadata import version

from m0common import metrics
from m0common.preflight import refuse_unfit, secrets
from m0common.secret import scrubber
from m0common.settings import Settings, load
from m0common.telemetry.logs import setup_logs
from m0common.telemetry.traces import setup_traces

GC_THRESHOLDS = (20_000, 20, 20)
"""A batch makes thousands of objects that die with it: collecting every 700 of them costs a twentieth of the CPU."""

Name = str | Callable[[Settings], str]
"""A process's name, or how to find it in the settings."""


def prepared(name: Name, needs: Collection[str]) -> tuple[str, Settings]:
    """The process's name and settings, with logs, traces and garbage collection set up.

    `needs` are the tables and settings that it uses. Raises SettingsError naming what cannot be used.
    """
    settings = load()
    refuse_unfit(settings, needs)
    service = name if isinstance(name, str) else name(settings)
    setup_logs(service, settings.telemetry.log_level, scrubber(secrets(settings)))
    endpoint = settings.telemetry.otel_exporter_otlp_endpoint.reveal()
    setup_traces(service, endpoint, settings.deployment.genesis_hash)
    # all packages of a release have one version
    metrics.BUILD.labels(service, version("m0common")).set(1)
    tune_gc()
    return service, settings


def tune_gc() -> None:
    """Set the garbage collector up for batch work, and leave out of its sight what was imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
