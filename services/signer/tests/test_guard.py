import os
import signal
import subprocess
import sys

import pytest
from m0_signer.database import GuardBusy
from m0_signer.guard import EquivocationRefused, Guard

PROGRAM = b"p" * 32


@pytest.fixture
def guard(tmp_path):
    opened = Guard(tmp_path / "guard", PROGRAM)
    yield opened
    opened.close()


def test_an_epoch_is_decided_once_and_keeps_its_salt(guard):
    first = guard.decide("sports", 7, b"a" * 32, b"header")
    assert guard.decide("sports", 7, b"a" * 32, b"header") == first
    assert len(first.salt) == 32
    assert guard.decide("sports", 8, b"a" * 32, b"header").salt != first.salt


def test_a_second_root_for_an_epoch_is_refused_and_leaves_the_first(guard):
    first = guard.decide("sports", 7, b"a" * 32, b"header")
    with pytest.raises(EquivocationRefused, match="is not signed"):
        guard.decide("sports", 7, b"b" * 32, b"other")
    assert guard.decision("sports", 7) == first


def test_finished_epochs_are_not_resumed_but_stay_decided(guard):
    guard.decide("sports", 8, b"a" * 32, b"h")
    guard.decide("sports", 7, b"a" * 32, b"h")
    assert [d.epoch_id for d in guard.unfinished()] == [7, 8]
    guard.finish("sports", 7, "finalized")
    assert [d.epoch_id for d in guard.unfinished()] == [8]
    with pytest.raises(EquivocationRefused):
        guard.decide("sports", 7, b"b" * 32, b"h")


def test_two_processes_cannot_hold_one_guard(guard, tmp_path):
    with pytest.raises(GuardBusy, match="held by another signer"):
        Guard(tmp_path / "guard", PROGRAM)


def test_decisions_of_another_deployment_are_another_matter(guard, tmp_path):
    guard.decide("sports", 7, b"a" * 32, b"h")
    guard.close()
    other = Guard(tmp_path / "guard", b"q" * 32)
    assert other.unfinished() == []
    other.decide("sports", 7, b"b" * 32, b"h")
    other.close()


def test_a_transaction_that_fails_leaves_nothing(guard):
    def half() -> None:
        with guard.transaction():
            guard.move("t", 0, 5)
            guard.keep_link("sports", 7, b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert guard.place("t", 0) is None
    assert guard.link("sports") is None


def test_a_decision_survives_kill_9_right_after_it_was_made(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from m0_signer.guard import Guard\n"
        "d = Guard(Path(sys.argv[1]), b'p' * 32).decide('sports', 7, b'a' * 32, b'header')\n"
        "print(d.salt.hex(), flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "guard")], stdout=subprocess.PIPE, text=True)
    salt = child.stdout.readline().strip()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    again = Guard(tmp_path / "guard", PROGRAM)
    assert again.unfinished()[0].salt.hex() == salt
    again.close()


def test_the_guard_file_is_readable_by_its_owner_alone(guard, tmp_path):
    assert (tmp_path / "guard").stat().st_mode & 0o077 == 0


def test_every_transaction_is_forced_to_disk_before_it_returns(guard):
    assert guard.database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_the_newest_link_takes_the_place_of_the_one_before(guard):
    guard.keep_link("sports", 7, b"a" * 32)
    guard.keep_link("sports", 8, b"b" * 32)
    assert guard.link("sports") == (8, b"b" * 32)
    guard.forget_links()
    assert guard.link("sports") is None
