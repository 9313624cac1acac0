"""The crypto domain through its three stages, without the heart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.canonical import FLAGS
from m0domains.crypto import DOMAIN
from m0domains.crypto import dataset as books
from m0domains.crypto.normalization import sound_asks, sound_bids, uncrossed
from m0domains.history import Observation
from m0lanes.port import Refused
from m0quant.consensus import from_book

NOW = 1_790_000_000_000
PPB = 1_000_000_000
CENT = 10_000_000
DEEP = 1_500_000


def book(bids=((49, DEEP),), asks=((51, DEEP),)):
    sides = {"bids": bids, "asks": asks}
    return {name: [[price * CENT, size] for price, size in side] for name, side in sides.items()} | {"original_ms": NOW}


@pytest.fixture
def lane(world):
    made = world(DOMAIN)
    made.open("M", "btc", ("UP", "DOWN"))
    return made


def say(lane, payload, kind="book", market_id="M", event_ms=NOW):
    return lane.say(kind, payload, group="btc", market_id=market_id, event_ms=event_ms)


def test_a_book_gives_its_microprice_to_the_outcome_named_up(world):
    for outcomes in (("UP", "DOWN"), ("DOWN", "UP")):
        lane = world(DOMAIN)
        lane.open("M", "btc", outcomes)
        say(lane, book(((70, DEEP),), ((72, DEEP),)))
        said = dict(zip(outcomes, lane.predict("M").outcomes, strict=True))
        assert said["UP"] == (710_000_000, 700_000_000, 720_000_000)
        assert said["DOWN"] == (290_000_000, 280_000_000, 300_000_000)


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        (((49, 0), (48, 5)), ((51, 5),)),
        (((49, 5), (49, 6), (50, 7), (48, 5)), ((51, 5),)),
        (((100, 5), (48, 5)), ((51, 5), (51, 5))),
        (((48, 5), (0, 5)), ((0, 9), (51, 5), (100, 1))),
        (((60, 5), (48, 5)), ((50, 5), (51, 5))),
        (((50, 5), (48, 5)), ((50, 5), (51, 5))),
    ],
    ids=["no size", "out of order", "certain, twice", "nought", "crossed", "locked"],
)
def test_what_is_wrong_with_a_level_costs_the_level(lane, bids, asks):
    (body,) = say(lane, book(bids, asks))
    assert body.bids[-1] == (48 * CENT, 5)
    assert body.asks[0] == (51 * CENT, 5)
    assert lane.predict("M").outcomes


@pytest.mark.parametrize(("bids", "asks"), [((), ()), (((49, 0),), ((100, 5),)), (((50, 5),), ((50, 5),))])
def test_a_book_with_nothing_left_is_refused(lane, bids, asks):
    with pytest.raises(Refused, match="no level"):
        say(lane, book(bids, asks))


def test_a_one_sided_book_is_thin(lane):
    say(lane, book(asks=()))
    assert FLAGS.THIN_BOOK in lane.predict("M").flags


def test_an_older_book_changes_nothing_and_a_newer_one_counts(lane):
    say(lane, book(), event_ms=NOW + 59_000)
    say(lane, book(((9, 1),), ()), event_ms=NOW)
    assert lane.row("M", NOW + 60_000)["book_consensus_ppb"] == 500_000_000
    say(lane, book(((70, DEEP),), ((72, DEEP),)), event_ms=NOW + 60_000)
    row = lane.row("M", NOW + 60_001)
    assert (row["book_consensus_ppb"], row["book_change_ppb"], row["book_updates"], row["book_age_ms"]) == (
        710_000_000,
        210_000_000,
        2,
        1,
    )


def test_the_window_of_a_book_is_bounded(lane):
    for index in range(300):
        say(lane, book(), event_ms=NOW + index)
    assert lane.row("M", NOW + 300)["book_updates"] == 64
    assert max(map(len, lane.state()[1].values())) < 2_048


def test_a_market_without_a_fresh_book_is_blocked(lane):
    assert lane.predict("M").flags == FLAGS.BLOCKED | FLAGS.LOW_COVERAGE
    say(lane, book())
    assert lane.predict("M", NOW + 15_000).flags == FLAGS(0)
    assert lane.predict("M", NOW + 15_001).flags == FLAGS.STALE
    assert lane.predict("M", NOW + 120_001).flags == FLAGS.BLOCKED | FLAGS.STALE


def test_a_closed_market_leaves_nothing_behind(lane):
    say(lane, book())
    say(lane, {"p_ppb": {"DOWN": 0, "UP": PPB}, "original_ms": NOW}, "quote")
    assert FLAGS.DIVERGENCE in lane.predict("M").flags
    lane.close("M")
    assert lane.state() == [{}, {}, {}]


def test_a_book_or_quote_that_does_not_fit_its_market_is_refused(lane):
    lane.open("YES", "btc", ("YES", "NO"))
    lane.open("ETH", "eth", ("UP", "DOWN"))
    for market_id in ("YES", "ETH", "NONE", None):
        with pytest.raises(Refused):
            say(lane, book(), market_id=market_id)
    for p_ppb in ({"UP": PPB, "NO": 0}, {"UP": 1, "DOWN": 1}, {"UP": PPB}, {"UP": PPB, "DOWN": -1}):
        with pytest.raises(Refused):
            say(lane, {"p_ppb": p_ppb, "original_ms": NOW}, "quote")
    assert lane.domain.outcome("book", None, ("UP", "DOWN")) is None


@pytest.mark.parametrize(
    "change",
    [
        {"bids": [[2**70, 1]]},
        {"bids": [[PPB + 1, 1]]},
        {"bids": [[1, -1]]},
        {"bids": [[1, 2**53 + 1]]},
        {"bids": [[1]]},
        {"bids": [[1, 1]] * 65},
        {"original_ms": 10**30},
        {"more": 1},
    ],
)
def test_values_out_of_bounds_are_refused(lane, change):
    with pytest.raises(Refused):
        say(lane, book() | change)


@pytest.mark.parametrize("value", [-(1 << 63), -1, 0, (1 << 63) - 1])
def test_any_value_of_a_parameter_leaves_a_prediction(world, value):
    names = ("window_ms", "stale_ms", "block_stale_ms", "min_depth_milli", "wide_interval_ppb", "divergence_limit_ppb")
    lane = world(DOMAIN, params=dict.fromkeys(names, value))
    lane.open("M", "btc", ("UP", "DOWN"))
    for index in range(5):
        say(lane, book(), event_ms=NOW + index)
    lane.predict("M", NOW + 1_000_000)
    lane.predict("M", NOW)


levels = st.lists(st.tuples(st.integers(0, 9) | st.integers(0, PPB), st.integers(0, 3) | st.integers(0, 2**53)))


@settings(max_examples=100)
@given(levels, levels)
def test_what_is_left_of_any_book_goes_outwards_and_is_not_crossed(bids, asks):
    kept_bids, kept_asks = uncrossed(sound_bids(bids), sound_asks(asks))
    if kept_bids or kept_asks:
        seen = from_book(kept_bids, kept_asks)
        assert 0 <= seen.lo <= seen.p <= seen.hi <= 1
    assert set(kept_bids) <= set(bids)


events = st.one_of(
    st.fixed_dictionaries({"bids": levels, "asks": levels, "original_ms": st.integers(0, 1 << 60)}),
    st.fixed_dictionaries(
        {
            "p_ppb": st.sampled_from([{"UP": PPB, "DOWN": 0}, {"DOWN": 5, "UP": PPB - 5}, {"UP": 1, "DOWN": 2}]),
            "original_ms": st.integers(0, NOW),
        }
    ),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(events, st.integers(-90_000, 90_000)), max_size=20))
def test_any_events_raise_nothing_but_refused_and_a_lane_restored_at_every_call_is_the_same(world, history):
    lanes = [world(DOMAIN, cold=cold) for cold in (True, False)]
    for lane in lanes:
        lane.open("M", "btc", ("DOWN", "UP"))
    for payload, shift in history:
        ends = []
        for lane in lanes:
            try:
                ends.append(say(lane, payload, "quote" if "p_ppb" in payload else "book", event_ms=NOW + shift))
            except Refused as error:
                ends.append(str(error))
        assert ends[0] == ends[1]
        assert lanes[0].state() == lanes[1].state()
        assert lanes[0].predict("M", NOW + shift) == lanes[1].predict("M", NOW + shift)


def test_books_of_the_sample_give_the_consensus_of_their_levels(world):
    lane, dataset = world(DOMAIN), books.load("btc", 60_000)
    for index in range(dataset.listing_count):
        listing = dataset.listing(1, index)
        lane.open(listing.market, listing.group, listing.outcomes, **listing.attributes)
    for index in range(0, dataset.item_count, 7):
        item = dataset.item(1, index).item
        if not isinstance(item, Observation):
            continue
        payload = item.payload
        raw = {"bids": payload.bids, "asks": payload.asks, "original_ms": payload.original_ms}
        lane.say("book", raw, group=item.group, market_id=item.market, event_ms=item.at_ms)
        seen = from_book(payload.bids, payload.asks)
        (up, down) = lane.predict(item.market, item.at_ms).outcomes
        assert up[0] == pytest.approx(seen.p * 1e9, abs=1)
        assert up[0] + down[0] == PPB
