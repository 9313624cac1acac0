"""A task ends, whatever a library makes of its cancellation."""

import asyncio
import contextlib

import pytest
from m0common.tasks import end_task


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again():
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        swallowed += 1
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end_task(task, again_s=0.01)
    assert task.cancelled()
    assert swallowed == 1


async def test_what_a_task_raised_stays_with_it():
    async def failing() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("while it was ending")

    task = asyncio.create_task(failing())
    await asyncio.sleep(0)
    await end_task(task)
    assert isinstance(task.exception(), ValueError)


async def test_who_waits_for_the_end_can_be_cancelled_himself():
    async def slow_to_leave() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)

    task = asyncio.create_task(slow_to_leave())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(end_task(task, again_s=30))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await end_task(task)
