"""What results and a marker cost the model, in work and not in seconds: entities changed, and fits of the league."""

from m0domains.sports import DOMAIN
from m0domains.sports.bodies import MatchResult
from m0domains.sports.models import LeagueFacts, Pair
from m0lanes.port import Put
from m0quant.football_state import TEAMS_MAX

RESULTS, MARKETS = 20_000, 200
FIRST_DAY = 20_000
OUTCOMES = ("HOME", "DRAW", "AWAY")


def sides(number):
    """Home and away of a result: in time every team hosts every other."""
    home, away = number % TEAMS_MAX, number // TEAMS_MAX % (TEAMS_MAX - 1)
    return f"T{home}", f"T{away + (away >= home)}"


def learned(lane, count):
    """Let the model learn so many results of a group that is full; returns the bytes of the largest step."""
    view, largest = lane.views[2], 0
    for number in range(count):
        body = MatchResult("l", *sides(number), number % 5, number % 3, FIRST_DAY + number // 50)
        step = lane.model.learn(view, body)
        view.apply(step)
        assert len(step.changes) <= 4
        assert all(isinstance(change, Put) for change in step.changes)
        largest = max(largest, sum(len(repr(change)) for change in step.changes))
    return largest


def opened(lane, count):
    for number in range(count):
        home, away = sides(number * 7)
        lane.open(f"M{number}", "l", OUTCOMES, home=home, away=away, original_ms="1790000000000")


def league(lane):
    (kept,) = lane.views[2].cache.values()
    return kept


def test_a_marker_behind_twenty_thousand_results_of_a_full_group_costs_one_fit(world):
    lane = world(DOMAIN)
    opened(lane, MARKETS)
    learned(lane, RESULTS)
    assert lane.views[2].get(LeagueFacts, "l").results == RESULTS
    assert league(lane).fits == 0
    for market_id in lane.markets:
        assert lane.predict(market_id).outcomes
    assert league(lane).fits == 1
    assert len(league(lane).names) == TEAMS_MAX
    assert sum(1 for _ in lane.views[2].each(Pair, "l")) == TEAMS_MAX * (TEAMS_MAX - 1)


def test_a_result_changes_as_much_in_a_full_group_as_in_a_new_one(world):
    new, full = learned(world(DOMAIN), 1), learned(world(DOMAIN), 6_000)
    assert full < 2 * new


def test_the_state_and_the_forecasts_do_not_depend_on_who_asked_in_between_and_in_which_order(world):
    silent, asked = world(DOMAIN), world(DOMAIN)
    for lane in (silent, asked):
        opened(lane, 20)
    for number in range(120):
        home, away = sides(number)
        result = {"home": home, "away": away, "home_goals": number % 4, "away_goals": number % 3, "season": "s"}
        for lane in (silent, asked):
            lane.say("match_result", result | {"original_ms": 1_780_000_000_000 + number}, group="l")
        asked.predict(f"M{number * 3 % 20}")
    assert silent.state() == asked.state()
    forward = {market_id: silent.predict(market_id) for market_id in silent.markets}
    backward = {market_id: asked.predict(market_id) for market_id in reversed(list(asked.markets))}
    assert forward == backward
