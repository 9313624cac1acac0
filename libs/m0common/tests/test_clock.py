"""Wall clocks may be set, steady ones not; only dev knows a clock for tests."""

import pytest
from m0common.clock import ManualClock, SystemClock, system_clock
from m0common.errors import SettingsError


def test_a_step_moves_the_wall_clock_alone():
    clock = ManualClock(5_000)
    clock.advance(10)
    clock.step(-1_000)
    assert (clock.now_ms(), clock.monotonic_ms()) == (4_010, 10)


def test_without_a_test_clock_it_is_the_machines():
    assert type(system_clock("dev", {})) is SystemClock
    assert type(system_clock("prod", {"M0_TEST_CLOCK_FILE": ""})) is SystemClock


def test_the_test_clock_shifts_the_wall_clock_and_not_the_steady_one(tmp_path):
    file = tmp_path / "shift"
    clock, system = system_clock("dev", {"M0_TEST_CLOCK_FILE": str(file)}), SystemClock()
    assert abs(clock.now_ms() - system.now_ms()) < 1_000
    file.write_text("600000\n")
    assert 599_000 < clock.now_ms() - system.now_ms() < 601_000
    assert abs(clock.monotonic_ms() - system.monotonic_ms()) < 1_000
    file.write_text("-600000")
    assert -601_000 < clock.now_ms() - system.now_ms() < -599_000


def test_a_test_clock_that_is_no_number_is_named(tmp_path):
    (tmp_path / "shift").write_text("soon")
    clock = system_clock("dev", {"M0_TEST_CLOCK_FILE": str(tmp_path / "shift")})
    with pytest.raises(SettingsError, match="shift holds 'soon'"):
        clock.now_ms()


@pytest.mark.parametrize("env", ["staging", "prod"])
def test_a_test_clock_is_refused_outside_dev(env):
    with pytest.raises(SettingsError, match=f"environment is {env}"):
        system_clock(env, {"M0_TEST_CLOCK_FILE": "/x"})
