"""One league: state, replay from a snapshot, and forecasts that beat its parts on seasons it has not seen."""

import csv
import datetime as dt
import hashlib
import itertools
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0quant import scoring
from m0quant.errors import QuantError
from m0quant.football import League, season_of
from m0quant.football_state import TEAMS_MAX, WEIGHT_SCALE, PairState, aged

DATA = pathlib.Path(__file__).parents[3] / "libs/m0domains/src/m0domains/sports/data/football.csv"
EPOCH = dt.date(1970, 1, 1)
GOLDEN = "ce2715988939f5b252179cb1a13d9211a64fedcee2991ec9d4542a7e4ac36128"


@pytest.fixture(scope="module")
def matches():
    if not DATA.exists():
        pytest.skip(f"{DATA.name} is not in this checkout")
    with DATA.open(newline="") as file:
        return [
            (
                (dt.date.fromisoformat(row["date"]) - EPOCH).days,
                row["league"],
                row["home"],
                row["away"],
                int(row["home_goals"]),
                int(row["away_goals"]),
            )
            for row in csv.DictReader(file)
        ]


def pieces(league):
    """Everything a league is, as the arguments that make it again."""
    names = league.names
    pairs = {sides: pair for sides in itertools.permutations(names, 2) if (pair := league.pair(*sides)) is not None}
    return league.state, {name: league.team(name) for name in names}, pairs


def again(league):
    """The league that its pieces make, however they are ordered."""
    state, teams, pairs = pieces(league)
    return League(league.params, state, dict(reversed(teams.items())), dict(reversed(pairs.items())))


def of_league(matches, league, count=None):
    return [m for m in matches if m[1] == league][:count]


def feed(league, rows):
    for day, _, home, away, home_goals, away_goals in rows:
        league.update(home, away, home_goals, away_goals, day)


def changed(league, row):
    """The names of teams, and the sides of pairs, that one result changes."""
    _, *before = pieces(league)
    feed(league, [row])
    _, *after = pieces(league)
    return [{key for key in new if old.get(key) != new[key]} for old, new in zip(before, after, strict=True)]


@pytest.fixture(scope="module")
def walk(matches):
    """Walk forward through all matches; per model the forecasts of 2016-17 and what happened."""
    leagues, forecasts, outcomes = {}, {"pool": [], "elo": [], "dixon_coles": []}, []
    start = (dt.date(2016, 7, 1) - EPOCH).days
    for day, name, home, away, home_goals, away_goals in matches:
        league = leagues.setdefault(name, League())
        if day >= start:
            forecast = league.predict(home, away, day)
            for model, p in {"pool": forecast.p, **forecast.models}.items():
                forecasts[model].append(p)
            outcomes.append(0 if home_goals > away_goals else 1 if home_goals == away_goals else 2)
        league.update(home, away, home_goals, away_goals, day)
    return forecasts, outcomes


def mean(score, forecasts, outcomes):
    return sum(score(p, o) for p, o in zip(forecasts, outcomes, strict=True)) / len(outcomes)


def test_the_pool_beats_its_parts_and_the_base_rate_on_an_unseen_season(walk):
    forecasts, outcomes = walk
    assert len(outcomes) == 1626
    loss = {model: mean(scoring.log_loss, p, outcomes) for model, p in forecasts.items()}
    base = tuple(outcomes.count(o) / len(outcomes) for o in range(3))
    assert loss["pool"] < 0.94645
    assert loss["pool"] < loss["elo"]
    assert loss["pool"] < loss["dixon_coles"]
    assert loss["pool"] < mean(scoring.log_loss, [base] * len(outcomes), outcomes) - 0.09
    assert mean(scoring.rps, forecasts["pool"], outcomes) < 0.195


def test_the_pool_is_calibrated_on_an_unseen_season(walk):
    forecasts, outcomes = walk
    for side in range(3):
        error = scoring.ece([p[side] for p in forecasts["pool"]], [o == side for o in outcomes])
        assert error < 0.05


def test_a_league_made_again_at_every_result_is_the_one_that_never_was(matches):
    kept, remade = League(), League()
    for row in of_league(matches, "de.1", 400):
        for league in (kept, remade):
            feed(league, [row])
        assert pieces(kept) == pieces(remade)
        assert kept.predict(row[2], row[3], row[0] + 3) == remade.predict(row[2], row[3], row[0] + 3)
        remade = again(remade)


def test_who_asks_in_between_and_in_which_order_changes_nothing(matches):
    asked, silent = League(), League()
    rows = of_league(matches, "it.1", 300)
    for row in rows:
        asked.predict(row[3], row[2], row[0])
        for league in (asked, silent):
            feed(league, [row])
        asked.predict(row[2], row[3], row[0])
    assert pieces(asked) == pieces(silent)
    sides = [row[2:4] for row in rows]
    there = [asked.predict(home, away, rows[-1][0]) for home, away in sides]
    back = [silent.predict(home, away, rows[-1][0]) for home, away in reversed(sides)]
    assert there == back[::-1]


def test_a_league_is_fitted_once_for_all_forecasts_between_two_results(matches):
    league = League()
    rows = of_league(matches, "es.1", 500)
    feed(league, rows)
    assert league.fits == 0
    for row in rows[:50]:
        league.predict(row[2], row[3], rows[-1][0])
    assert league.fits == 1
    feed(league, rows[:1])
    league.predict("Barcelona", "Nobody", rows[-1][0])
    assert league.fits == 2


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4), st.integers(0, 4), st.integers(0, 99), st.integers(0, 99), st.integers(-800, 4000)
        ),
        max_size=30,
    )
)
def test_so_is_one_of_absurd_results_in_any_order_of_time(history):
    kept, remade, day = League(), League(), 15_000
    for home, away, home_goals, away_goals, pause in history:
        day += pause
        if home != away:
            for league in (kept, remade):
                league.update(f"T{home}", f"T{away}", home_goals, away_goals, day)
            remade = again(remade)
            assert pieces(kept) == pieces(remade)


def test_the_state_of_a_fixed_history_never_changes(matches):
    league = League()
    feed(league, of_league(matches, "eng.1"))
    assert hashlib.sha256(repr(pieces(league)).encode()).hexdigest() == GOLDEN


def test_a_result_changes_two_teams_and_one_pair_across_seasons_too(matches):
    league = League()
    for row in of_league(matches, "at.1"):
        assert changed(league, row) == [{row[2], row[3]}, {row[2:4]}]


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 44), st.lists(st.integers(0, 4), max_size=8))
def test_a_pair_aged_in_steps_is_one_aged_at_once(games, goals, steps):
    at_once = in_steps = PairState(games, goals, goals // 2, 100)
    for step in steps:
        in_steps = aged(in_steps, in_steps.reference_day + step * 365, 365)
    assert in_steps == aged(at_once, 100 + 365 * sum(steps), 365)


def test_a_pair_is_forgotten_once_it_weighs_less_than_a_hundredth_of_a_game():
    pair = PairState(WEIGHT_SCALE, 3 * WEIGHT_SCALE, 0, 0)
    assert aged(pair, 6, 1) == PairState(WEIGHT_SCALE // 64, 3 * WEIGHT_SCALE // 64, 0, 6)
    assert aged(pair, 7, 1) == PairState(0, 0, 0, 7)


def test_a_forecast_does_not_change_the_league(matches):
    league = League()
    rows = of_league(matches, "es.1", 100)
    feed(league, rows)
    before = pieces(league)
    league.predict("Barcelona", "Nobody", rows[-1][0] + 400)
    assert pieces(league) == before


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.integers(0, 5), st.integers(0, 99), st.integers(0, 99), st.integers(0, 500)
        ).filter(lambda m: m[0] != m[1]),
        max_size=60,
    )
)
def test_any_history_leaves_valid_forecasts_and_a_state_in_bounds(history):
    league, day = League(), 15_000
    for home, away, home_goals, away_goals, pause in history:
        day += pause
        league.update(f"T{home}", f"T{away}", home_goals, away_goals, day)
    for home, away in (("T0", "T1"), ("T1", "NEW"), ("NEW", "NEWER")):
        forecast = league.predict(home, away, day + 1)
        assert sum(forecast.p) == pytest.approx(1.0)
        for p, lo, hi in zip(forecast.p, forecast.lo, forecast.hi, strict=True):
            assert 0 <= lo <= p <= hi <= 1
        assert 0 <= forecast.divergence <= 1
    twin = again(league)
    assert pieces(twin) == pieces(league)
    assert twin.predict("T0", "T1", day) == league.predict("T0", "T1", day)
    _, teams, pairs = pieces(league)
    assert all(abs(value) < 1 << 62 for row in (*teams.values(), *pairs.values()) for value in row)


def test_more_games_narrow_the_interval_and_raise_the_coverage(matches):
    league = League()
    rows = of_league(matches, "eng.1")
    feed(league, rows[:20])
    early = league.predict("Arsenal", "Chelsea", rows[20][0])
    feed(league, rows[20:380])
    late = league.predict("Arsenal", "Chelsea", rows[379][0])
    assert early.coverage < late.coverage == 38
    assert late.hi[0] - late.lo[0] < early.hi[0] - early.lo[0]


@pytest.mark.parametrize(
    "result",
    [
        ("A", "A", 1, 0, 16_000),
        ("A", "B", -1, 0, 16_000),
        ("A", "B", 0, 100, 16_000),
    ],
)
def test_an_impossible_result_is_refused_and_changes_nothing(result):
    league = League()
    league.update("A", "B", 1, 1, 16_000)
    before = pieces(league)
    with pytest.raises(QuantError):
        league.update(*result)
    assert pieces(league) == before


def test_a_late_result_counts_less_and_does_not_turn_the_season_back():
    on_time, late = League(), League()
    for league in (on_time, late):
        league.update("A", "B", 1, 1, 16_000)
    on_time.update("A", "B", 5, 0, 16_000)
    late.update("A", "B", 5, 0, 15_000)
    home = [league.predict("A", "B", 16_001).models["dixon_coles"][0] for league in (late, on_time)]
    assert home == sorted(home)
    assert late.state.results == 2


def test_a_forecast_for_any_day_is_valid():
    league = League()
    league.update("A", "B", 1, 1, 16_000)
    for day in (-(10**12), 0, 10**12):
        assert sum(league.predict("A", "B", day).p) == pytest.approx(1.0)


def test_a_result_of_1970_does_not_end_a_leagues_learning(matches):
    rows = of_league(matches, "eng.1", 500)
    plain, after = League(), League()
    after.update("Nobody", "Noone", 1, 0, 19)
    for league in (plain, after):
        feed(league, rows)
    assert after.state.results == 501
    assert not any(after.team(name).promoted for name in rows[0][2:4])
    for row in rows[-20:]:
        ours, theirs = (league.predict(row[2], row[3], row[0]).p for league in (plain, after))
        assert theirs == pytest.approx(ours, abs=0.06)


def test_a_gap_of_seasons_ages_a_league(matches):
    league = League()
    rows = of_league(matches, "eng.1", 760)
    feed(league, rows)
    best = max(league.names, key=lambda name: league.team(name).rating)
    before = league.team(best).rating
    late = rows[-1][0] + 40 * 366
    league.update("A", best, 0, 1, late)
    assert 1_500_000_000 < league.team(best).rating < before - 100_000_000
    _, _, pairs = pieces(league)
    half_life = league.params.dixon_coles.half_life
    now = {sides: aged(pair, league.state.reference_day, half_life).games for sides, pair in pairs.items()}
    assert {sides for sides, games in now.items() if games} == {("A", best)}


def test_absurd_scores_and_endless_ones_leave_forecasts():
    league = League()
    for day in range(300):
        league.update("A", "B", 99, 0, 16_000 + day)
        league.update("C", "A", 0, 60, 16_000 + day)
    for pair in (("A", "B"), ("B", "A"), ("C", "B"), ("A", "NEW")):
        assert sum(league.predict(*pair, 16_300).p) == pytest.approx(1.0)
    assert league.predict("A", "B", 16_300).p[0] > 0.9


def test_a_league_has_a_bounded_number_of_teams():
    league = League()
    for index in range(0, TEAMS_MAX, 2):
        league.update(f"T{index}", f"T{index + 1}", 1, 0, 16_000)
    before = pieces(league)
    with pytest.raises(QuantError, match=f"{TEAMS_MAX} teams"):
        league.update("T0", "NEW", 1, 0, 16_001)
    assert pieces(league) == before
    assert [league.has_room(*teams) for teams in (("T0", "NEW"), ("T0", "T3"), ())] == [False, True, True]
    league.update("T0", "T3", 1, 0, 16_001)


def test_pieces_that_do_not_fit_together_are_refused(matches):
    league = League()
    feed(league, of_league(matches, "at.1", 30))
    state, teams, pairs = pieces(league)
    for name in league.names[:-1]:
        with pytest.raises(QuantError, match=name):
            League(None, state, {n: t for n, t in teams.items() if n != name}, pairs)


def test_a_season_begins_in_july():
    days = [(dt.date(*d) - EPOCH).days for d in ((2015, 6, 30), (2015, 7, 1), (2016, 1, 1))]
    assert [season_of(day, (7, 1)) for day in days] == [2014, 2015, 2015]
