"""A process to be started and signalled: `toy_process.py HOW [own_status]`; what it says goes to stderr."""

import asyncio
import contextlib
import sys
import threading
import time

from m0common.errors import InvalidValue, SettingsError
from m0common.process import Process, run
from m0common.telemetry.logs import logger

_log = logger("toy")


class Toy:
    """A task that is drained: it ends `lasts_s` after it was asked to."""

    def __init__(self, lasts_s: float) -> None:
        self._lasts_s = lasts_s
        self._asked = asyncio.Event()

    async def run(self) -> None:
        await self._asked.wait()
        await asyncio.sleep(self._lasts_s)
        _log.info("toy_drained")

    def stop(self) -> None:
        self._asked.set()


async def forever() -> None:
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def dependency(name: str):
    yield name
    _log.info("toy_closed", what=name)


async def drains(process: Process) -> None:
    await process.enter("first", dependency("first"))
    await process.enter("second", dependency("second"))
    toy = Toy(0.1)
    process.task("toy", toy.run, stop=toy.stop)
    process.task("cancelled", forever)


async def never_drains(process: Process) -> None:
    toy = Toy(3600)
    process.task("stubborn", toy.run, stop=toy.stop)


def sleep_where_nobody_wakes_it() -> None:
    time.sleep(3600)


async def hangs(process: Process) -> None:
    """In a thread that nobody can cancel, and that the interpreter waits for."""
    process.task("forever", forever)
    threading.Thread(target=sleep_where_nobody_wakes_it).start()


async def fails(process: Process) -> None:
    async def fail() -> None:
        raise InvalidValue("the password is " + process.settings.postgres.dsn.reveal())

    process.task("fails", fail)


async def crashes(process: Process) -> None:
    async def crash() -> None:
        raise KeyError(process.settings.postgres.dsn.reveal())

    process.task("crashes", crash)


async def unusable(_: Process) -> None:
    raise SettingsError("colour is 'plaid': choose red")


async def opens_slowly(process: Process) -> None:
    with process.waits("a slow database"):
        await forever()


if __name__ == "__main__":
    run("toy", ("postgres",), globals()[sys.argv[1]], own_status=sys.argv[2:] == ["own_status"])
