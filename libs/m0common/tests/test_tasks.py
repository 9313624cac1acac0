"""A task ends, whatever a library makes of its cancellation."""

import asyncio
import contextlib

import pytest
from m0common.tasks import end_task, end_tasks


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


async def test_whoever_loses_patience_while_tasks_end_leaves_none_of_them_running():
    heard, ended = [], []

    async def slow_to_leave(number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            ended.append(number)
            raise ValueError(str(number))

    tasks = [asyncio.create_task(slow_to_leave(number)) for number in range(3)]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(end_tasks(tasks, heard.append))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait(tasks)
    await asyncio.sleep(0)
    assert all(task.done() for task in tasks)
    assert len(heard) == sum(not task.cancelled() for task in tasks)


async def test_what_had_ended_before_is_told_to_nobody():
    async def failing() -> None:
        raise ValueError("told already")

    task = asyncio.create_task(failing())
    await asyncio.wait([task])
    heard = []
    await end_tasks([task], heard.append)
    await asyncio.sleep(0)
    assert heard == []
    assert isinstance(task.exception(), ValueError)
