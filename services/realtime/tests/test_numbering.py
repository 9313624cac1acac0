"""A message keeps its number however the log was cut and whenever the service was restarted."""

from hypothesis import given
from hypothesis import strategies as st
from m0_realtime.finalized import start_of
from m0_realtime.names import Kind, Name
from m0_realtime.numbering import Anchor, Numbering

CHANNELS = [Name(Kind.MARKET, f"M{i}") for i in range(4)]


def read(log, start, end, anchor=None):
    """The number of every message in [start, end), as a service started there gives it, and its numbering."""
    numbering = Numbering(start, anchor)
    numbers: dict[int, int] = {}
    channels: dict[int, Name] = {}

    def move(shifts):
        for offset, name in channels.items():
            numbers[offset] += shifts.get(name, 0)

    for offset in range(start, end):
        move(numbering.begin(offset))
        name = CHANNELS[log[offset]]
        numbers[offset] = numbering.base_of(name) + 1
        channels[offset] = name
        numbering.count(name)
        numbering.end(offset)
    move(numbering.finish())
    return numbers, numbering


logs = st.lists(st.integers(0, len(CHANNELS) - 1), max_size=60)


@given(logs)
def test_from_the_beginning_numbers_are_dense_per_channel(log):
    numbers, _ = read(log, 0, len(log))
    for i in range(len(CHANNELS)):
        mine = [numbers[offset] for offset, channel in enumerate(log) if channel == i]
        assert mine == list(range(1, len(mine) + 1))


@given(logs, st.data())
def test_with_an_anchor_a_cut_log_gives_the_same_numbers(log, data):
    anchored_at = data.draw(st.integers(0, len(log)))
    cut = data.draw(st.integers(0, anchored_at))
    truth, _ = read(log, 0, len(log))
    _, before = read(log, 0, anchored_at)
    again, after = read(log, cut, len(log), before.anchor("t", 0))
    assert again == {offset: number for offset, number in truth.items() if offset >= cut}
    assert after.counts == read(log, 0, len(log))[1].counts


@given(logs, st.data())
def test_any_number_of_restarts_on_a_shrinking_log_change_nothing(log, data):
    truth, _ = read(log, 0, len(log))
    end, cut, anchor = 0, 0, None
    while end < len(log):
        end = data.draw(st.integers(end + 1, len(log)))
        numbers, numbering = read(log, start_of(cut, end, anchor), end, anchor)
        assert all(truth[offset] == number for offset, number in numbers.items())
        anchor = numbering.anchor("t", 0)
        cut = data.draw(st.integers(cut, anchor.offset))


@given(logs, st.data())
def test_without_an_anchor_no_number_is_given_to_another_message(log, data):
    cut = data.draw(st.integers(0, len(log)))
    truth, _ = read(log, 0, len(log))
    numbers, _ = read(log, cut, len(log))
    for offset, number in numbers.items():
        given_before = {truth[o] for o in truth if log[o] == log[offset] and o < offset}
        assert number not in given_before
        assert number >= truth[offset]


@given(logs, st.data())
def test_an_anchor_older_than_the_log_never_lets_numbers_fall_back(log, data):
    anchored_at = data.draw(st.integers(0, len(log)))
    cut = data.draw(st.integers(anchored_at, len(log)))
    truth, _ = read(log, 0, len(log))
    _, before = read(log, 0, anchored_at)
    numbers, _ = read(log, cut, len(log), before.anchor("t", 0))
    assert all(number >= truth[offset] for offset, number in numbers.items())


@given(logs, logs)
def test_a_log_that_began_again_continues_the_numbers(old, new):
    _, before = read(old, 0, len(old))
    anchor = before.anchor("t", 0)
    if len(new) >= anchor.offset:
        return
    numbers, _ = read(new, 0, len(new), anchor)
    for i, name in enumerate(CHANNELS):
        mine = [numbers[offset] for offset, channel in enumerate(new) if channel == i]
        first = anchor.counts.get(str(name), 0) + 1
        assert mine == list(range(first, first + len(mine)))


def test_reading_starts_where_an_anchor_allows_it(monkeypatch):
    monkeypatch.setattr("m0_realtime.limits.BACKLOG_RECORDS", 100)
    anchor = Anchor("t", 0, 950, {})
    assert start_of(0, 1000, None) == 0
    assert start_of(0, 1000, anchor) == 900
    assert start_of(0, 2000, anchor) == 950
    assert start_of(970, 2000, anchor) == 970
    assert start_of(0, 50, anchor) == 0
