"""Turn a process that was forked from the supervisor into a service, as `python -m MODULE` would be one.

What a fork inherits and a program that was started has not is undone here: handlers of signals, exit functions, the
command line that `ps` shows. Objects of the supervisor stay, out of the collector's sight: their files are closed, and
a finalizer would close whatever has their number now.
"""

import atexit
import ctypes
import gc
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ARG_START, ARG_END = 47, 48
"""Fields of /proc/PID/stat, from 0: where the command line lies in memory."""


def become(module: str, env: Mapping[str, str]) -> NoReturn:
    """Run `module` as the main program with the environment `env` and end the process with its exit code."""
    gc.freeze()
    atexit._clear()  # noqa: SLF001 - the supervisor's; there is no public way to leave them out
    _default_signals()
    os.environ.clear()
    os.environ.update(env)
    command = [sys.executable, "-m", module]
    show_command(command)
    sys.argv = [module]
    code = _run(module)
    # the end of an interpreter, whose stack would lead back into the supervisor
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _default_signals() -> None:
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _run(module: str) -> int:
    """The exit code of `module`, by the rules of the interpreter."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 - as an interpreter prints whatever ends it
        traceback.print_exc()
        return 1
    return 0


def show_command(command: Sequence[str]) -> None:
    """Write `command` over this process's command line, as far as there is room."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    # the fields after the name begin with the third
    start, end = (int(fields[number - 2]) for number in (ARG_START, ARG_END))
    text = b"".join(os.fsencode(word) + b"\0" for word in command)
    ctypes.memmove(start, text[: end - start - 1].ljust(end - start, b"\0"), end - start)
