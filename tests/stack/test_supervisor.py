"""The supervisor when things go wrong around it: a full disk, and being killed with its processes left behind."""

import contextlib
import errno
import os
import subprocess
import sys
import time

import pytest
from m0local.control import clear_leftovers, leftovers
from m0local.launch import HOME_MARK
from m0local.settings import load
from m0local.supervise import PatientLog
from supervisor.loggers import LevelsByName, LogRecord

LEFT_BEHIND = """
import signal, sys, time
def stop(number, frame):
    open(sys.argv[1], "a").write(sys.argv[2] + "\\n")
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in sys.argv else stop)
print("ready", flush=True)
time.sleep(60)
"""


def line(text):
    return LogRecord(LevelsByName.INFO, text)


def patient_log(path, **options):
    log = PatientLog(str(path), **options)
    log.setFormat("%(message)s\n")
    return log


def test_a_full_disk_costs_lines_of_logs_and_nothing_else(tmp_path, capfd):
    path = tmp_path / "service.log"
    path.symlink_to("/dev/full")
    log = patient_log(path)
    with pytest.raises(OSError, match="No space left") as refused:
        path.open("wb", buffering=0).write(b"x")
    assert refused.value.errno == errno.ENOSPC
    for number in range(2_000):
        log.emit(line(f"line {number} of a service that says a lot"))
    assert capfd.readouterr() == ("", "")


def test_lines_are_written_again_once_there_is_room(tmp_path):
    path = tmp_path / "service.log"
    path.symlink_to("/dev/full")
    log = patient_log(path)
    log.emit(line("lost"))
    path.unlink()
    with contextlib.suppress(OSError):
        log.stream.close()  # as a rotation does that finds no room
    log.emit(line("kept"))
    assert path.read_text() == "kept\n"


def test_a_rotation_that_fails_is_tried_again_with_the_next_line(tmp_path):
    path = tmp_path / "service.log"
    log = patient_log(path, maxBytes=10, backupCount=1)
    (tmp_path / "service.log.1").mkdir()  # where the rotated file would go
    for number in range(3):
        log.emit(line(f"line {number} is long enough"))
    (tmp_path / "service.log.1").rmdir()
    log.emit(line("the last one before it turns"))
    assert path.read_text() == ""
    assert (tmp_path / "service.log.1").read_text().count("\n") == 4


@pytest.mark.postgres
def test_the_stack_goes_on_while_a_log_cannot_be_written(make_stack):
    stack = make_stack()
    stack.settings.logs.mkdir(parents=True)
    (stack.settings.logs / "valkey.log").symlink_to("/dev/full")
    done = stack.run("up", "--only", "valkey")
    assert done.returncode == 0, done.stderr
    before = stack.service("valkey")
    os.kill(before["pid"], 15)
    deadline = time.monotonic() + 20
    while not (now := stack.service("valkey"))["ready"] or now["pid"] == before["pid"]:
        assert time.monotonic() < deadline, now
        time.sleep(0.2)


def test_what_a_killed_supervisor_left_stops_services_first_and_the_deaf_by_force(tmp_path):
    settings = load({"M0_HOME": str(tmp_path)})
    said = tmp_path / "said"
    env = os.environ | {HOME_MARK: str(settings.home)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LEFT_BEHIND, str(said), *args], env=env, stdout=subprocess.PIPE, text=True
        )
        for args in (["server"], ["m0_ingest"], ["m0_model", "deaf"])
    ]
    try:
        for process in started:
            assert process.stdout.readline() == "ready\n"
        assert {process.pid for process in leftovers(settings)} == {process.pid for process in started}
        assert clear_leftovers(settings, grace_s=1) == 3
        assert said.read_text() == "m0_ingest\nserver\n"
        assert leftovers(settings) == []
    finally:
        for process in started:
            process.kill()
            process.communicate()
