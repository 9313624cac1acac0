"""The committed football sample and what is built of other rows."""

import datetime as dt

import pytest
from m0common.errors import InvalidValue
from m0common.ids import check_market_id
from m0domains.rows import parse
from m0domains.sports import dataset as football
from m0domains.sports.data.build import football_rows
from m0domains.timeline import DAY_MS

TITLES = {
    "at.1": "Austrian Bundesliga",
    "de.1": "Bundesliga",
    "eng.1": "Premier League",
    "es.1": "La Liga",
    "it.1": "Serie A",
}
OPTIONS = football.FootballOptions(dt.date(2015, 8, 22), 7, 4, TITLES)


@pytest.fixture(scope="module")
def sports():
    return football.load(OPTIONS)


def built(*lines, **options):
    raw = "\n".join([",".join(football.COLUMNS), *lines]).encode()
    chosen = {"live_from": dt.date(2015, 8, 22), "open_days": 7, "max_gap_days": 4, "titles": {"rus.1": "Премьер"}}
    return football.build(parse("f.csv", raw, football.COLUMNS), football.FootballOptions(**(chosen | options)))


def test_there_are_two_seasons_of_warm_up_and_a_market_per_live_match(sports):
    assert (len(sports.warmup), len(sports.live), len(sports.listings)) == (3308, 3196, 3196)
    assert sports.groups(1) == ("at.1", "de.1", "eng.1", "es.1", "it.1")
    assert all(item.market is None for item in sports.warmup)


def test_items_and_listings_are_in_order_and_within_the_limits_of_the_registry(sports):
    for times in ([i.at_ms for i in (*sports.warmup, *sports.live)], [x.opens_ms for x in sports.listings]):
        assert times == sorted(times)
    assert sports.live[-1].at_ms - sports.live[0].at_ms < sports.span_ms
    listed = {}
    for index in range(sports.listing_count):
        listing = sports.listing(9999, index)
        check_market_id(listing.market)
        assert len(listing.title.encode()) <= 96
        assert listing.opens_ms < listing.resolves_after_ms
        listed[listing.market] = listing
    for index in range(sports.warmup_count, sports.item_count):
        item = sports.item(9999, index).item
        assert item.at_ms >= listed[item.market].opens_ms


def test_the_day_of_a_match_is_its_real_day(sports):
    market = football.market_id("2015-08-29", "eng.1", "Manchester City", "Watford")
    assert market.startswith("FB_ENG1_20150829_MANCHESTERCITY_WATFORD_")
    item = next(i for i in sports.live if i.market == market)
    assert dt.date(1970, 1, 1) + dt.timedelta(days=item.payload.original_ms // DAY_MS) == dt.date(2015, 8, 29)
    assert (item.payload.home_goals, item.payload.away_goals, item.payload.season) == (2, 0, "2015-16")
    assert sports.find(market).attributes["home"] == "Manchester City"
    assert sports.find(f"{market}_S2").attributes == sports.find(market).attributes


def test_names_in_other_letters_get_ids_of_their_own():
    dataset = built(
        "2024-08-17,rus.1,Спартак,Зенит,1,0",
        "2024-08-17,rus.1,ЦСКА,Динамо,1,0",
        "2024-08-17,rus.1,神戸,浦和,1,0",
        "2024-08-17,rus.1,浦和,神戸,1,0",
        "2024-08-17,rus.1,Borussia Mönchengladbach II,Grødig,1,0",
        "2024-08-17,rus.1,Borussia Mönchengladbach III,Grødig,1,0",
    )
    ids = [listing.market for listing in dataset.listings]
    assert len(set(ids)) == 6
    shown = sorted(name.rpartition("_")[0].removeprefix("FB_RUS1_20240817_") for name in ids)
    assert shown == [
        "BORUSSIAMONCHE_GRODIG",
        "BORUSSIAMONCHE_GRODIG",
        "SPARTAK_ZENIT",
        "TSSKA_DINAMO",
        "X_X",
        "X_X",
    ]


def test_two_meetings_of_the_same_sides_on_one_day_are_two_markets():
    line = "2024-08-17,rus.1,A,B,1,0"
    assert len({listing.market for listing in built(line, line).listings}) == 2


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("17.08.2024,rus.1,A,B,1,0", "row 2: date '17.08.2024'"),
        ("2024-08-17,rus.1,A,B,NA,0", "row 2: home_goals 'NA'"),
        ("2024-08-17,rus.1,A,B,2.0,0", r"row 2: home_goals '2\.0'"),
        ("2024-08-17,rus.1,A,B,100,0", "row 2: .*home_goals"),
        ("2024-08-17,rus.1,A,A,1,0", "row 2: .*does not play itself"),
        ("2024-08-17,rus.1," + "😀" * 17 + ",B,1,0", "row 2: .*68 bytes"),
        ("1969-08-17,rus.1,A,B,1,0", "row 2: .*original_ms"),
    ],
)
def test_a_bad_row_is_refused_by_name(line, named):
    with pytest.raises(InvalidValue, match=r"f\.csv, " + named):
        built(line)


def test_a_date_after_all_matches_and_leagues_without_a_match_are_refused():
    with pytest.raises(InvalidValue, match="live_from"):
        built("2024-08-17,rus.1,A,B,1,0", live_from=dt.date(2030, 1, 1))
    with pytest.raises(InvalidValue, match="titles"):
        built("2024-08-17,eng.1,A,B,1,0")


def test_the_build_script_sorts_and_drops_fixtures_without_a_score():
    match = {"division": "Serie A", "home_team": "A", "away_team": "B", "home_score": 1, "away_score": 0}
    matches = [match | {"date": "2015-01-02"}, match | {"date": "2015-01-01", "home_score": None}]
    assert football_rows(matches) == [("2015-01-02", "it.1", "A", "B", 1, 0)]
