"""A process without signals and without a port: what its composition is given, and how it ends."""

import asyncio
import contextlib
import json

import pytest
from m0common.clock import ManualClock
from m0common.errors import InvalidValue, Unavailable
from m0common.metrics import SIDE_FAILURES
from m0common.process import Process
from m0common.process.tasks import Ended
from m0common.settings import Settings
from m0common.side import SideTasks
from structlog.testing import capture_logs


async def forever():
    await asyncio.Event().wait()


async def until(condition, within_s=60):
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


def made(drain_ms=3000):
    side = SideTasks(first_pause_s=0.001, longest_pause_s=0.002)
    return Process("toy", Settings(drain_ms=drain_ms), ManualClock(), side=side)


@contextlib.asynccontextmanager
async def living(process, compose):
    task = asyncio.create_task(process.live(compose))
    try:
        await until(lambda: process.status.ready["process"]() is None)
        yield
        assert not task.done()
    finally:
        process.stop()
        await asyncio.wait_for(task, 60)


@contextlib.asynccontextmanager
async def opened(closed, name, closing=None):
    yield name
    closed.append(name)
    if closing is not None:
        await closing()


def answer(process):
    response = process.status.respond(process.status.health | process.status.ready)
    return response.status_code, json.loads(response.body)


async def test_a_side_task_that_fails_is_a_note_and_a_count_and_ends_nothing():
    process = made()

    async def refuse():
        raise Unavailable("it refuses")

    async def compose(process):
        process.task("main", forever)
        process.side("refused", refuse)

    before = SIDE_FAILURES.labels("refused")._value.get()
    async with living(process, compose):
        await until(lambda: SIDE_FAILURES.labels("refused")._value.get() >= before + 3)
        status, body = answer(process)
        assert (status, body["status"], body["problems"]) == (200, "degraded", {})
        assert body["notes"] == {"side tasks": "refused: Unavailable: it refuses"}
        assert process.status.respond(process.status.health).status_code == 200


async def test_the_start_says_which_tasks_may_fail_alone():
    async def compose(process):
        process.task("main", forever)
        process.side("beside", forever)

    with capture_logs() as said:
        async with living(made(), compose):
            pass
    (started,) = [line for line in said if line["event"] == "started"]
    assert (started["tasks"], started["may_fail_alone"]) == (["main"], ["beside"])


async def test_a_failing_task_drains_the_others_closes_everything_and_is_raised():
    process, drained, closed, go = made(), [], [], asyncio.Event()

    async def fail():
        raise InvalidValue("too much")

    async def drain():
        await go.wait()
        drained.append("slow")

    async def compose(process):
        await process.enter("database", opened(closed, "database"))
        process.task("slow", drain, stop=go.set)
        process.task("fails", fail)

    with pytest.raises(InvalidValue, match="too much"):
        await process.live(compose)
    assert (drained, closed) == (["slow"], ["database"])


async def test_a_task_that_fails_while_dependencies_are_opened_ends_the_start():
    async def fail():
        raise InvalidValue("too much")

    async def compose(process):
        process.task("fails", fail)
        await forever()

    with pytest.raises(InvalidValue, match="too much"):
        await asyncio.wait_for(made().live(compose), 60)


async def test_a_task_that_ends_by_itself_is_a_failure_that_names_it():
    async def end():
        pass

    async def compose(process):
        process.task("brief", end)

    with pytest.raises(Ended, match="task 'brief' has ended though nobody stopped it"):
        await asyncio.wait_for(made().live(compose), 60)


async def test_a_failure_during_the_drain_is_raised():
    process, stopping = made(), asyncio.Event()

    async def fail():
        await stopping.wait()
        raise InvalidValue("the last commit was refused")

    async def compose(process):
        process.task("fails", fail, stop=stopping.set)
        process.stop()

    with pytest.raises(InvalidValue, match="the last commit was refused"):
        await process.live(compose)


async def test_a_start_that_is_stopped_twice_ends_once():
    process, waits = made(), asyncio.Event()

    async def compose(process):
        waits.set()
        await forever()

    task = asyncio.create_task(process.live(compose))
    await waits.wait()
    process.stop()
    process.stop()
    await asyncio.wait_for(task, 60)


async def test_an_error_of_the_composition_closes_what_was_opened():
    closed = []

    async def compose(process):
        await process.enter("database", opened(closed, "database"))
        raise InvalidValue("no")

    with pytest.raises(InvalidValue, match="no"):
        await made().live(compose)
    assert closed == ["database"]


async def test_what_does_not_close_in_time_is_named_and_the_others_are_closed():
    process, closed = made(drain_ms=0), []

    async def fail():
        raise OSError("gone")

    async def say_goodbye():
        await asyncio.sleep(0)

    async def compose(process):
        await process.enter("first", opened(closed, "first", say_goodbye))
        await process.enter("hangs", opened(closed, "hangs", forever))
        await process.enter("fails", opened(closed, "fails", fail))
        process.stop()

    with capture_logs() as said:
        await asyncio.wait_for(process.live(compose), 60)
    assert closed == ["fails", "hangs", "first"]
    late = {line["what"]: line["reason"] for line in said if line["event"] == "not_closed"}
    assert late == {"fails": "OSError: gone", "hangs": "it was not done in time"}


async def test_a_task_that_swallows_cancellations_is_cancelled_again():
    process, swallowed = made(), []

    async def stubborn():
        while len(swallowed) < 2:
            with contextlib.suppress(asyncio.CancelledError):
                await forever()
            swallowed.append(1)
        await forever()

    async def compose(process):
        process.task("stubborn", stubborn)

    async with living(process, compose):
        pass
    assert len(swallowed) == 2


async def test_readiness_says_that_it_stops_and_the_end_is_told_how_long_it_may_take():
    process, seen, told = made(drain_ms=500), [], []
    go = asyncio.Event()

    async def drain():
        await go.wait()
        seen.append(process.status.ready["process"]())

    async def compose(process):
        process.task("slow", drain, stop=go.set)
        process.stop()

    await process.live(compose, told.append)
    assert seen == ["stopping"]
    assert told == [3.5]


async def test_two_tasks_of_one_name_are_a_mistake():
    async def compose(process):
        process.task("twin", forever)
        process.side("twin", forever)

    with pytest.raises(ValueError, match="there is a task 'twin' already"):
        await made().live(compose)


async def test_what_may_fail_alone_within_a_task_is_a_note_until_something_goes_through():
    process, runs = made(), []

    async def listing():
        runs.append(1)
        raise (RuntimeError("no room") if len(runs) < 3 else Unavailable("no broker"))

    async def part():
        with pytest.raises(Unavailable, match="no broker"):
            await process.alone("listing", listing, (Unavailable,))
        await forever()

    async def compose(process):
        process.task("part", part)

    async with living(process, compose):
        await until(lambda: len(runs) == 3)
        assert answer(process)[1]["notes"]["side tasks"] == "listing: RuntimeError: no room"
