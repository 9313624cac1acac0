"""The first SIGTERM or SIGINT asks a process to stop, the second one ends it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_AT_ONCE = 1
SAID = b"ended at once by a second signal: what was in hand is done again after the next start\n"


@contextlib.contextmanager
def heard(stop: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call `stop` at the first signal. The second one ends the process, also when its loop is stuck in other code."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def first(number: signal.Signals) -> None:
        for each in SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, _end)
        stop(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, first, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, SAID)  # not by the log, which may be in the middle of a line
    os._exit(EXIT_AT_ONCE)
