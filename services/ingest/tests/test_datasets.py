"""The committed samples as datasets."""

import datetime as dt

import pytest
from m0_ingest import markets
from m0_ingest.data import build
from m0_ingest.dataset import split_cycle
from m0_ingest.timeline import DAY_MS
from m0common.errors import InvalidValue, SettingsError
from m0common.ids import check_market_id

CONFIG = __import__("pathlib").Path(__file__).parents[3] / "config/markets"


@pytest.fixture(scope="module")
def sports():
    return markets.load(CONFIG / "sports.toml", {}).dataset("sports")


@pytest.fixture(scope="module")
def crypto():
    return markets.load(CONFIG / "crypto.toml", {}).dataset("crypto")


def test_football_has_two_seasons_of_warm_up_and_a_market_per_live_match(sports):
    assert (len(sports.warmup), len(sports.live), len(sports.listings)) == (3308, 3196, 3196)
    assert sports.groups == ("at.1", "de.1", "eng.1", "es.1", "it.1")
    assert all(item.market is None and item.outcome is None for item in sports.warmup)
    assert {item.outcome for item in sports.live} == {0, 1, 2}


def test_books_have_eighteen_markets_that_each_open_with_a_book_and_close(crypto):
    assert len(crypto.listings) == 18
    for listing in crypto.listings:
        own = [item for item in crypto.live if item.market == listing.market]
        assert own[0].at_ms == listing.opens_ms
        assert (own[-1].kind, own[-1].at_ms) == ("market_close", listing.settles_ms)
        assert [item.outcome for item in own if item.outcome is not None] == [own[-1].outcome]
    assert sum(item.outcome == 0 for item in crypto.live) == 13


@pytest.mark.parametrize("name", ["sports", "crypto"])
def test_items_and_listings_are_in_order_and_within_the_limits_of_the_registry(name, request):
    dataset = request.getfixturevalue(name)
    for times in ([i.at_ms for i in (*dataset.warmup, *dataset.live)], [x.opens_ms for x in dataset.listings]):
        assert times == sorted(times)
    assert dataset.live[-1].at_ms - dataset.live[0].at_ms < dataset.span_ms
    for listing in dataset.listings:
        check_market_id(listing.market)
        assert len(listing.title.encode()) <= 96
        assert len(listing.group.encode()) <= 32
        assert 2 <= len(listing.outcomes) <= 32
        assert listing.opens_ms < listing.settles_ms
    listed = {listing.market: listing for listing in dataset.listings}
    for item in dataset.live:
        assert item.at_ms >= listed[item.market].opens_ms


@pytest.mark.parametrize("name", ["sports", "crypto"])
def test_some_market_is_open_at_any_time_and_across_the_loop(name, request):
    dataset = request.getfixturevalue(name)
    edges = []
    for index in range(len(dataset.listings) + 20):
        listing, placed = dataset.listing(index)
        edges += [(placed.at_ms, 1), (placed.at_ms + listing.settles_ms - listing.opens_ms, -1)]
    count, idle, last = 0, 0, edges[0][0]
    for at, step in sorted(edges, key=lambda e: (e[0], -e[1])):
        idle = max(idle, at - last if count == 0 else 0)
        count, last = count + step, at
    assert idle <= (DAY_MS if name == "sports" else 180_000)


def test_a_later_cycle_has_other_ids_and_later_seasons(sports):
    first, _ = sports.item(len(sports.warmup))
    again, placed = sports.item(len(sports.warmup) + len(sports.live))
    assert again is first
    assert placed.market_id == f"{first.market}_C2"
    assert split_cycle(placed.market_id) == (first.market, 2)
    assert split_cycle(first.market) == (first.market, 1)
    payload = sports.in_cycle(first.payload, 2)
    assert payload.original_ms - first.payload.original_ms == 731 * DAY_MS
    assert (first.payload.season, payload.season) == ("2015-16", "2017-18")
    last = sports.in_cycle(sports.live[-1].payload, 1)
    assert sports.in_cycle(sports.live[0].payload, 2).original_ms > last.original_ms
    assert sports.attributes(placed.market_id)["season"] == "2017-18"
    assert sports.attributes("UNKNOWN") == {}


def test_the_day_of_a_match_is_its_real_day(sports):
    item = next(i for i in sports.live if i.market == "FB_ENG1_20150829_MANCHESTERCITY_WATFORD")
    assert dt.date(1970, 1, 1) + dt.timedelta(days=item.payload.original_ms // DAY_MS) == dt.date(2015, 8, 29)
    assert (item.payload.home_goals, item.payload.away_goals) == (2, 0)
    assert sports.attributes(item.market)["home"] == "Manchester City"


def test_a_misspelt_key_is_refused_with_the_nearest_name(tmp_path):
    path = tmp_path / "sports.toml"
    path.write_text('connector = "books"\ngroup = "btc"\nday_last_ms = 1\n')
    with pytest.raises(SettingsError, match="day_lasts_ms"):
        markets.load(path, {})
    path.write_text('connector = "nothing"\n')
    with pytest.raises(SettingsError, match="books"):
        markets.load(path, {})
    assert markets.load(tmp_path / "none.toml", {}) is None


def test_settings_override_single_keys():
    assert markets.load(CONFIG / "crypto.toml", {"day_lasts_ms": 5}).day_lasts_ms == 5


def test_a_date_after_all_matches_is_refused():
    replay = markets.load(CONFIG / "sports.toml", {}).model_copy(update={"live_from": dt.date(2030, 1, 1)})
    with pytest.raises(InvalidValue, match="live_from"):
        replay.dataset("sports")


def test_the_build_script_thins_rounds_and_drops_what_is_no_data():
    matches = [
        {
            "date": "2015-01-02",
            "division": "Serie A",
            "home_team": "A",
            "away_team": "B",
            "home_score": 1,
            "away_score": 0,
        },
        {
            "date": "2015-01-01",
            "division": "Serie A",
            "home_team": "A",
            "away_team": "C",
            "home_score": None,
            "away_score": None,
        },
    ]
    assert build.football_rows(matches) == [("2015-01-02", "it.1", "A", "B", 1, 0)]
    assert build.ladder([0.5, 0.49, 1.0], [1.2345, 0.0, 5.0]) == "500000000:1234"
    book = {"slug": "m", "bid_px": [0.5], "bid_sz": [1.0], "ask_px": [], "ask_sz": []}
    rows = build.book_rows([{**book, "ts": ts} for ts in (0, 4_999, 5_000, 20_000)], {"m": 20_000})
    assert [row[1] for row in rows] == [0, 5_000]
