"""Seasons of a dataset: the same bytes under other names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0common.errors import InvalidValue
from m0domains.crypto.payloads import BookPayload
from m0domains.history import (
    Dataset,
    Listing,
    Observation,
    Resolution,
    market_in_season,
    split_season,
    title_in_season,
)


def book(at_ms, group="btc", market="BTC_1"):
    return Observation(at_ms, group, market, "book", BookPayload(((5, 1),), (), at_ms))


def dataset(group="btc", market="BTC_1", title="Up or down"):
    return Dataset(
        warmup=[book(-2, group, None), book(-1, "eth", None)],
        live=[book(1, group, market), Resolution(2, group, market, "UP"), book(3, group, market)],
        listings=[Listing(0, 2, market, group, title, ("UP", "DOWN"), {"a": "b"})],
        start_ms=0,
        span_ms=10,
    )


def test_the_first_season_is_the_history_as_it_is():
    played = dataset()
    assert [played.item(1, i).item for i in range(played.item_count)] == [*played.warmup, *played.live]
    assert played.listing(1, 0) is not played.listings[0]
    assert played.listing(1, 0) == played.listings[0]
    assert (played.item_count, played.warmup_count, played.listing_count) == (5, 2, 1)


def test_a_later_season_has_other_names_and_times_and_the_same_payloads():
    played = dataset()
    first, again = played.item(1, 2), played.item(3, 2)
    assert (again.item.group, again.item.market, again.item.at_ms) == ("btc~3", "BTC_1_S3", 21)
    assert again.item.payload is first.item.payload
    listing = played.listing(3, 0)
    assert (listing.group, listing.market, listing.title) == ("btc~3", "BTC_1_S3", "Up or down (replay, season 3)")
    assert (listing.opens_ms, listing.resolves_after_ms, listing.attributes) == (20, 22, {"a": "b"})
    assert played.groups(1) == ("btc", "eth")
    assert played.groups(2) == ("btc~2", "eth~2")
    assert played.find("BTC_1_S3") == listing
    assert played.find("BTC_2_S3") is None


def test_source_seqs_are_dense_per_group_from_one_and_the_same_in_every_season():
    played = dataset()
    for season in (1, 2):
        placed = [played.item(season, i) for i in range(played.item_count)]
        assert [p.source_seq for p in placed] == [1, 1, 2, 0, 3]
        assert len({p.source_event_id for p in placed}) == len(placed)
    assert played.item(1, 0).source_event_id != played.item(2, 0).source_event_id


@given(st.from_regex(r"[A-Z0-9_]{1,50}", fullmatch=True), st.integers(1, 9999))
def test_a_market_id_is_told_from_its_seasons(market, season):
    try:
        dataset(market=market)
    except InvalidValue:
        return
    assert split_season(market_in_season(market, season)) == (market, season)


@given(st.text(max_size=96), st.integers(1, 9999))
def test_a_title_fits_the_registry_in_every_season(title, season):
    named = title_in_season(title, season)
    assert len(named.encode()) <= 96
    assert season == 1 or named.endswith(f" (replay, season {season})")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"group": "btc~2"}, "btc~2"),
        ({"group": "b" * 28}, "use at most 27"),
        ({"group": "b c"}, "b c"),
        ({"market": "BTC_1_S2"}, "BTC_1_S2"),
        ({"market": "B" * 60}, "B" * 60),
    ],
)
def test_names_that_would_clash_in_a_later_season_are_refused(values, named):
    with pytest.raises(InvalidValue, match=named):
        dataset(**values)


@pytest.mark.parametrize("season", [0, -1, 10_000])
def test_seasons_count_from_one(season):
    with pytest.raises(InvalidValue, match="season"):
        dataset().item(season, 0)


def test_a_market_listed_twice_and_an_empty_history_are_refused():
    played = dataset()
    with pytest.raises(InvalidValue, match="BTC_1 is listed 2 times"):
        Dataset((), played.live, [*played.listings, *played.listings], 0, 10)
    with pytest.raises(InvalidValue, match="needs live items"):
        Dataset((), (), (), 0, 10)
