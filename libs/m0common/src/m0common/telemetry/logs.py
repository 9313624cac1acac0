"""JSON logs with request, market and epoch ids; readable lines on a terminal."""

import logging
import sys
from collections.abc import Callable

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


class _Scrubbing(logging.Formatter):
    """Lines of `inner` without secrets."""

    def __init__(self, scrub: Callable[[str], str], inner: logging.Formatter) -> None:
        super().__init__()
        self._scrub, self._inner = scrub, inner

    def format(self, record: logging.LogRecord) -> str:
        return self._scrub(self._inner.format(record))


def setup_logs(service: str, level: str = "info", scrub: Callable[[str], str] = str) -> None:
    """Send structlog and the standard library's logging to stderr, one JSON object a line unless it is a terminal.

    Every line, tracebacks and other libraries' included, goes through `scrub`, which takes secrets out.
    Bind `request_id`, `market_id`, `catalog` or `epoch_id` with `structlog.contextvars.bind_contextvars`.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[structlog.types.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Scrubbing(
            scrub,
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=shared,
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
            ),
        ),
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    for noisy in ("aiokafka", "httpx", "httpx2", "httpcore", "httpcore2", "uvicorn", "asyncio", "apscheduler"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, LEVELS[level]))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def print_logs(least: int = logging.NOTSET) -> None:
    """Print structlog's lines to stderr, from the level `least` on: the standard output of a command is its answer
    alone.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound
