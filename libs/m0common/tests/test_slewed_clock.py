"""Whatever is done to the wall clock, a slewed clock passes evenly and comes back to it."""

from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.clock import ManualClock, SlewedClock

MINUTE = 60_000
TENTH = 10


def run(marker, clock, ms, every=500):
    times = []
    for _ in range(0, ms, every):
        clock.advance(every)
        times.append(marker.now_ms())
    return times


def test_it_begins_at_the_wall_clock_or_at_the_newest_marker_when_that_is_later():
    clock = ManualClock(1_000_000)
    assert SlewedClock(clock, TENTH).now_ms() == 1_000_000
    assert SlewedClock(clock, TENTH, 999_000).now_ms() == 1_000_000
    assert SlewedClock(clock, TENTH, 1_005_000).now_ms() == 1_005_000


def test_left_alone_it_is_the_wall_clock():
    clock = ManualClock()
    marker = SlewedClock(clock, TENTH)
    assert run(marker, clock, 500) == [clock.now_ms()]
    assert marker.ahead_ms() == 0


def test_a_step_of_ten_minutes_for_five_seconds_and_back_leaves_half_a_second_that_melts():
    clock = ManualClock()
    marker = SlewedClock(clock, TENTH)
    before = clock.now_ms()
    clock.step(10 * MINUTE)
    run(marker, clock, 5_000)
    clock.step(-10 * MINUTE)
    assert marker.now_ms() - before == 5_500
    run(marker, clock, 5_000)
    assert marker.now_ms() == clock.now_ms()


def test_reading_it_often_or_seldom_comes_to_the_same():
    often, seldom = ManualClock(), ManualClock()
    a, b = SlewedClock(often, TENTH), SlewedClock(seldom, TENTH)
    often.step(MINUTE)
    seldom.step(MINUTE)
    run(a, often, 9_000, 1)
    seldom.advance(9_000)
    assert a.now_ms() == b.now_ms() == 1_700_000_000_000 + 9_900


def test_it_nears_a_wall_clock_that_was_set_to_stay():
    clock = ManualClock()
    marker = SlewedClock(clock, TENTH)
    clock.step(-MINUTE)
    run(marker, clock, 10 * MINUTE)
    assert marker.ahead_ms() == 0


steps = st.lists(st.tuples(st.integers(-10 * MINUTE, 10 * MINUTE), st.integers(0, 90_000)), max_size=30)


@settings(max_examples=100)
@given(steps, st.integers(-MINUTE, MINUTE))
def test_no_steps_of_the_wall_clock_make_it_stand_jump_or_stray(steps, lead):
    clock = ManualClock()
    start = clock.now_ms()
    marker = SlewedClock(clock, TENTH, start + lead)
    begun = last = marker.now_ms()
    passed = 0
    for step, ms in steps:
        clock.step(step)
        clock.advance(ms)
        passed += ms
        now = marker.now_ms()
        assert last + 0.9 * ms - 1 <= now <= last + 1.1 * ms + 1
        last = now
    assert begun + 0.9 * passed - 1 <= last <= begun + 1.1 * passed + 1
    run(marker, clock, 11 * abs(marker.ahead_ms()) + 1_000, 60_000)
    clock.advance(11 * abs(marker.ahead_ms()))
    assert marker.ahead_ms() == 0
