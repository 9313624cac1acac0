"""Real processes, real signals: exit codes, what is drained, and what is said."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from m0common.process.run import status_bind
from m0common.settings import Settings

pytestmark = pytest.mark.loopback
WAIT_S = 60.0
SECRET = "marker-of-a-secret"


class Child:
    """A toy process."""

    def __init__(self, folder, *how, **told):
        (folder / "m0.toml").touch()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.bind = f"127.0.0.1:{probe.getsockname()[1]}"
        env = {name: value for name, value in os.environ.items() if not name.startswith("M0_")} | {
            "M0_CONFIG_PATH": str(folder / "m0.toml"),
            "M0_PROMETHEUS_BIND": self.bind,
            "M0_PG_DSN": f"postgresql://m0:{SECRET}@127.0.0.1/m0",
            **told,
        }
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("toy_process.py"), *how], env=env, stdout=log, stderr=log
            )

    def said(self):
        return self._log.read_text()

    def events(self):
        """The log, line by line."""
        return [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]

    def until_said(self, event):
        """Wait for an event in the log."""
        deadline = time.monotonic() + WAIT_S
        while not any(line["event"] == event for line in self.events()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def get(self, path):
        """The first answer."""
        deadline = time.monotonic() + WAIT_S
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                return httpx2.get(f"http://{self.bind}/{path}", timeout=WAIT_S)
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def ended(self):
        """The exit code."""
        return self.process.wait(WAIT_S)

    def stopped(self, number=signal.SIGTERM):
        """The exit code after a signal."""
        self.process.send_signal(number)
        return self.ended()


@pytest.fixture
def child(tmp_path):
    made = []

    def start(*how, **told):
        made.append(Child(tmp_path, *how, **told))
        return made[-1]

    yield start
    for each in made:
        each.process.kill()
        each.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_tasks_closes_dependencies_in_reverse_order_and_exits_with_0(child, number):
    toy = child("drains")
    toy.until_said("started")
    assert toy.stopped(number) == 0
    begun = [line["event"] for line in toy.events()]
    assert begun == ["started", "stopping", "toy_drained", "toy_closed", "toy_closed", "stopped"]
    assert [line["what"] for line in toy.events() if line["event"] == "toy_closed"] == ["second", "first"]
    assert toy.events()[1]["signal"] == number.name


def test_a_task_that_does_not_end_within_the_grace_period_is_named_and_cancelled(child):
    toy = child("never_drains", M0_DRAIN_MS="100")
    toy.until_said("started")
    assert toy.stopped() == 0
    (late,) = [line for line in toy.events() if line["event"] == "not_drained"]
    assert (late["level"], late["task"], late["grace_ms"]) == ("warning", "stubborn", 100)
    assert "toy_drained" not in toy.said()


def test_a_second_signal_ends_the_process_at_once(child):
    toy = child("never_drains", M0_DRAIN_MS="3600000")
    toy.until_said("started")
    toy.process.send_signal(signal.SIGTERM)
    toy.until_said("stopping")
    assert toy.stopped() == 1
    assert "ended at once by a second signal" in toy.said()


def test_a_process_that_no_cancellation_reaches_ends_all_the_same_and_shows_where_it_hangs(child):
    toy = child("hangs", M0_DRAIN_MS="0")
    toy.until_said("started")
    assert toy.stopped() == 1
    assert "in sleep_where_nobody_wakes_it" in toy.said()


def test_a_failure_foreseen_is_one_sentence_without_secrets_and_exits_with_1(child):
    toy = child("fails")
    assert toy.ended() == 1
    (failed,) = [line for line in toy.events() if line["event"] == "failed"]
    assert failed["reason"].startswith("InvalidValue: the password is ")
    assert "Traceback" not in toy.said()
    assert SECRET not in toy.said()


def test_a_failure_that_nobody_foresaw_is_a_traceback_without_secrets_and_exits_with_1(child):
    toy = child("crashes")
    assert toy.ended() == 1
    assert '"event": "crashed"' in toy.said()
    assert "Traceback" in toy.said()
    assert SECRET not in toy.said()


def test_settings_that_a_composition_cannot_use_are_one_sentence_and_exit_with_2(child):
    toy = child("unusable")
    assert toy.ended() == 2
    (said,) = [line for line in toy.events() if line["event"] == "cannot_start"]
    assert said["reason"] == "SettingsError: colour is 'plaid': choose red"
    assert "Traceback" not in toy.said()


def test_settings_that_cannot_be_read_are_one_sentence_and_exit_with_2(child, tmp_path):
    toy = child("drains", M0_CONFIG_PATH=str(tmp_path / "none.toml"))
    assert toy.ended() == 2
    assert toy.said().startswith(f"toy: settings file {tmp_path}/none.toml does not exist")
    assert len(toy.said().splitlines()) == 1


def test_a_taken_port_is_one_sentence_and_exits_with_2(child):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        toy = child("drains", M0_PROMETHEUS_BIND=bind)
        assert toy.ended() == 2
    assert f"{bind} is taken: stop what holds it or choose another address" in toy.said()


def test_who_answers_in_an_application_of_its_own_is_asked_apart_from_it_where_that_address_is_set(child):
    toy = child("drains", "own_status")
    toy.until_said("started")
    assert {path: toy.get(path).status_code for path in ("health", "ready", "metrics")} == {
        "health": 200,
        "ready": 200,
        "metrics": 200,
    }
    assert toy.stopped() == 0


def test_who_answers_in_an_application_of_its_own_has_one_address_unless_another_is_set():
    settings = Settings.model_validate({"bind": "127.0.0.1:8080"})
    assert status_bind(settings, own_status=True) is None
    assert status_bind(settings, own_status=False) == "127.0.0.1:8080"
    both = Settings.model_validate({"bind": "127.0.0.1:8080", "telemetry": {"prometheus_bind": "127.0.0.1:8080"}})
    assert status_bind(both, own_status=True) is None


def test_while_dependencies_are_opened_it_lives_is_not_ready_names_what_it_waits_for_and_can_be_stopped(child):
    toy = child("opens_slowly")
    assert toy.get("health").status_code == 200
    ready = toy.get("ready")
    assert ready.status_code == 503
    assert ready.json()["problems"] == {"process": "starting: waits for a slow database"}
    assert toy.get("metrics").status_code == 200
    assert toy.stopped() == 0
