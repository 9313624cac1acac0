"""A side task that fails is said once, counted, noted and begun again; nobody else stops."""

import asyncio
import contextlib

import pytest
from m0common.metrics import SIDE_FAILURES
from m0common.side import SideTasks
from m0common.tasks import end_task
from structlog.testing import capture_logs


def failures(name):
    return SIDE_FAILURES.labels(name)._value.get()


@contextlib.asynccontextmanager
async def running(side, name, begin):
    task = asyncio.create_task(side.run(name, begin))
    try:
        yield
    finally:
        await end_task(task)


async def until(condition, within_s=60):
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


async def times(count, begun, within_s=60):
    async with asyncio.timeout(within_s):
        for _ in range(count):
            await begun.get()


async def test_a_task_that_always_fails_is_one_warning_many_counts_and_a_note():
    side, begun, before = SideTasks(first_pause_s=0.001, longest_pause_s=0.002), asyncio.Queue(), failures("refused")

    async def refused():
        begun.put_nowait(1)
        raise ValueError("getProgramAccounts: not here")

    with capture_logs() as lines:
        async with running(side, "refused", refused):
            await times(5, begun)
            assert side.notes() == "refused: ValueError: getProgramAccounts: not here"
    said = [line for line in lines if line["event"] == "side_task_failed"]
    assert [line["log_level"] for line in said] == ["warning"]
    assert failures("refused") - before >= 4


async def test_another_reason_is_another_warning():
    side, begun = SideTasks(first_pause_s=0.001, longest_pause_s=0.002), asyncio.Queue()

    async def fails():
        begun.put_nowait(1)
        raise ValueError(f"for reason {min(begun.qsize(), 2)}")

    with capture_logs() as lines:
        async with running(side, "fails", fails):
            await until(lambda: begun.qsize() >= 4)
    assert len([line for line in lines if line["event"] == "side_task_failed"]) == 2


async def test_the_note_goes_once_the_task_holds():
    side, well = SideTasks(first_pause_s=0.1, held_s=0.01), asyncio.Event()

    async def recovers():
        if not well.is_set():
            well.set()
            raise ValueError("once")
        await asyncio.Event().wait()

    async with running(side, "recovers", recovers):
        await until(lambda: side.notes() is not None)
        await until(lambda: side.notes() is None)


async def test_what_is_no_fault_of_the_task_alone_comes_through():
    side, before = SideTasks(first_pause_s=0.001), failures("led")
    raised = [ValueError("its own"), KeyError("who leads is another")]

    async def led():
        raise raised.pop(0)

    with pytest.raises(KeyError, match="another"):
        await side.run("led", led, through=(KeyError,))
    assert failures("led") == before + 1
