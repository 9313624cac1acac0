import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from m0_signer.database import Database, GuardBusy
from m0_signer.guard import EquivocationRefused, Guard, noted_link, noted_place

PROGRAM = b"p" * 32


@pytest.fixture
async def guard(tmp_path):
    opened = await Guard.open(tmp_path / "guard", PROGRAM)
    yield opened
    await opened.close()


async def test_an_epoch_is_decided_once_and_keeps_its_salt(guard):
    first = await guard.decide("sports", 7, b"a" * 32, b"header")
    assert await guard.decide("sports", 7, b"a" * 32, b"header") == first
    assert len(first.salt) == 32
    assert (await guard.decide("sports", 8, b"a" * 32, b"header")).salt != first.salt


async def test_a_second_root_for_an_epoch_is_refused_and_leaves_the_first_and_nothing_beside(guard):
    first = await guard.decide("sports", 7, b"a" * 32, b"header")
    with pytest.raises(EquivocationRefused, match="is not signed"):
        await guard.decide("sports", 7, b"b" * 32, b"other", [noted_place("t", 0, 5)])
    assert await guard.decision("sports", 7) == first
    assert await guard.place("t", 0) is None


async def test_finished_epochs_are_not_resumed_but_stay_decided(guard):
    await guard.decide("sports", 8, b"a" * 32, b"h")
    await guard.decide("sports", 7, b"a" * 32, b"h")
    assert [d.epoch_id for d in await guard.unfinished()] == [7, 8]
    await guard.finish("sports", 7, "finalized")
    assert [d.epoch_id for d in await guard.unfinished()] == [8]
    with pytest.raises(EquivocationRefused):
        await guard.decide("sports", 7, b"b" * 32, b"h")


async def test_two_processes_cannot_hold_one_guard(guard, tmp_path):
    with pytest.raises(GuardBusy, match="held by another signer"):
        await Guard.open(tmp_path / "guard", PROGRAM)


async def test_decisions_of_another_deployment_are_another_matter(tmp_path):
    guard = await Guard.open(tmp_path / "guard", PROGRAM)
    await guard.decide("sports", 7, b"a" * 32, b"h")
    await guard.close()
    other = await Guard.open(tmp_path / "guard", b"q" * 32)
    assert await other.unfinished() == []
    await other.decide("sports", 7, b"b" * 32, b"h")
    await other.close()


async def test_a_transaction_that_fails_leaves_nothing(guard):
    with pytest.raises(ValueError, match="half"):
        await guard.database.write(half_of(noted_place("t", 0, 5), noted_link("sports", 7, b"x")))
    assert await guard.place("t", 0) is None
    assert await guard.link("sports") is None


def half_of(*statements):
    yield from statements
    raise ValueError("half")


async def test_a_disk_that_is_slow_does_not_hold_up_the_event_loop(database):
    opened = threading.Event()
    slow = asyncio.create_task(database.run(lambda _: opened.wait(60)))
    await asyncio.sleep(0)
    opened.set()  # by this very event loop
    assert await slow


async def test_what_was_given_is_done_in_its_order_also_for_whom_was_cancelled(database):
    opened, done = threading.Event(), []
    await database.write([("CREATE TABLE told (number INTEGER)", ())])
    works = [asyncio.create_task(database.run(lambda _: opened.wait(60)))]
    works += [asyncio.create_task(told(database, number, done)) for number in range(4)]
    await asyncio.sleep(0)
    for work in (works[0], works[2]):
        work.cancel()
    await asyncio.gather(works[0], works[2], return_exceptions=True)
    assert done == []
    opened.set()
    await asyncio.gather(*works, return_exceptions=True)
    assert done == [0, 2, 3]  # nobody is told what he gave up waiting for
    assert await database.read("SELECT number FROM told ORDER BY rowid") == [(0,), (1,), (2,), (3,)]


async def told(database, number, done):
    await database.write([("INSERT INTO told VALUES (?)", (number,))])
    done.append(number)


async def test_closing_waits_for_what_was_given_before(tmp_path):
    database, opened = await Database.open(tmp_path / "guard"), threading.Event()
    await database.write([("CREATE TABLE told (number INTEGER)", ())])
    waits = asyncio.create_task(database.run(lambda _: opened.wait(60)))
    tells = asyncio.create_task(told(database, 1, []))
    await asyncio.sleep(0)
    tells.cancel()
    closes = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    opened.set()
    await asyncio.gather(waits, tells, closes, return_exceptions=True)
    again = await Database.open(tmp_path / "guard")
    assert await again.read("SELECT number FROM told") == [(1,)]
    await again.close()


async def test_a_decision_is_in_the_file_when_it_is_known(guard, tmp_path):
    decision = await guard.decide("sports", 7, b"a" * 32, b"header")
    shutil.copy(tmp_path / "guard", tmp_path / "copy")  # as kill -9 would leave it
    copy = await Guard.open(tmp_path / "copy", PROGRAM)
    assert await copy.unfinished() == [decision]
    await copy.close()


def killed_once_it_has_decided(path):
    """The salt that a process told before kill -9."""
    code = (
        "import asyncio, sys, time; from pathlib import Path; from m0_signer.guard import Guard\n"
        "async def decide():\n"
        "    guard = await Guard.open(Path(sys.argv[1]), b'p' * 32)\n"
        "    print((await guard.decide('sports', 7, b'a' * 32, b'header')).salt.hex(), flush=True); time.sleep(60)\n"
        "asyncio.run(decide())\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    salt = child.stdout.readline().strip()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    return salt


async def test_a_decision_survives_kill_9_right_after_it_was_made(tmp_path):
    salt = killed_once_it_has_decided(tmp_path / "guard")
    again = await Guard.open(tmp_path / "guard", PROGRAM)
    assert (await again.unfinished())[0].salt.hex() == salt
    await again.close()


async def test_the_guard_file_is_readable_by_its_owner_alone(guard, tmp_path):
    assert (tmp_path / "guard").stat().st_mode & 0o077 == 0


async def test_every_transaction_is_forced_to_disk_before_it_returns(guard):
    assert await guard.database.read("PRAGMA synchronous") == [(2,)]  # FULL


async def test_the_newest_link_takes_the_place_of_the_one_before(guard):
    await guard.database.write([noted_link("sports", 7, b"a" * 32), noted_link("sports", 8, b"b" * 32)])
    assert await guard.link("sports") == (8, b"b" * 32)
    await guard.forget_links()
    assert await guard.link("sports") is None
