"""The sports domain through its three stages, without the heart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.canonical import FLAGS
from m0domains.sports import DOMAIN
from m0domains.sports.bodies import MatchResult
from m0domains.sports.features import TeamForm
from m0domains.sports.models import LeagueFacts
from m0lanes.port import NOTHING, Refused
from m0quant.football_state import TEAMS_MAX

NOW = 1_790_000_000_000
DAY = 86_400_000
PPB = 1_000_000_000


def result(home="A", away="B", score=(1, 0), day=-1, season="2026-27"):
    return {
        "home": home,
        "away": away,
        "home_goals": score[0],
        "away_goals": score[1],
        "season": season,
        "original_ms": NOW + day * DAY,
    }


def quote(**p_ppb):
    return {"p_ppb": p_ppb, "original_ms": NOW}


@pytest.fixture
def lane(world):
    return world(DOMAIN)


def opened(lane, market_id="M", outcomes=("HOME", "DRAW", "AWAY"), home="A", away="B", group="l", **more):
    return lane.open(market_id, group, outcomes, **({"home": home, "away": away, "original_ms": str(NOW)} | more))


def played(lane, count=40):
    teams = "ABCD"
    for index in range(count):
        home, away = teams[index % 4], teams[(index + 1 + index // 4 % 3) % 4]
        lane.say("match_result", result(home, away, (index % 4, index % 3), -400 + index), group="l")


def test_a_result_is_learned_by_both_sides_and_stops_its_market(lane):
    opened(lane)
    (body,) = lane.say("match_result", result(), group="l", market_id="M")
    assert (body.home, body.away, body.home_goals, body.played_day) == ("A", "B", 1, (NOW - DAY) // DAY)
    assert lane.stopped == {"M"}
    assert lane.views[1].get(TeamForm, "l", "A").points == (3,)
    assert lane.views[1].get(TeamForm, "l", "B").points == (0,)
    assert lane.views[2].get(LeagueFacts, "l").results == 1


def test_a_result_counts_with_no_market_too(lane):
    lane.say("match_result", result(), group="l")
    assert lane.views[2].get(LeagueFacts, "l").results == 1


@pytest.mark.parametrize(("home", "away"), [("B", "A"), ("A", "C"), ("C", "D"), ("a", "B"), ("A ", "B")])
def test_a_result_of_other_teams_than_its_markets_is_refused(lane, home, away):
    opened(lane)
    before = lane.state()
    with pytest.raises(Refused, match="swapped" if home == "B" else "is not M"):
        lane.say("match_result", result(home, away), group="l", market_id="M")
    assert lane.state() == before
    assert not lane.stopped


def test_a_result_for_a_market_of_other_outcomes_or_another_group_is_refused(lane):
    opened(lane, "OVER", ("OVER", "UNDER"))
    opened(lane, "OTHER", group="k")
    for market_id in ("OVER", "OTHER", "NONE"):
        with pytest.raises(Refused, match=market_id if market_id != "OVER" else "HOME"):
            lane.say("match_result", result(), group="l", market_id=market_id)


def test_the_first_result_of_a_match_counts_and_no_later_one(lane):
    lane.say("match_result", result(score=(1, 0)), group="l")
    before = lane.state()
    with pytest.raises(Refused, match="1-0: a repeat"):
        lane.say("match_result", result(score=(1, 0)), group="l")
    with pytest.raises(Refused, match="1-0: 2-0 would be a correction"):
        lane.say("match_result", result(score=(2, 0)), group="l")
    assert lane.state() == before
    lane.say("match_result", result(day=-2), group="l")
    lane.say("match_result", result(season="2025-26"), group="l")
    lane.say("match_result", result("B", "A"), group="l")
    lane.say("match_result", result(), group="k")
    assert lane.views[2].get(LeagueFacts, "l").results == 4


def test_a_repeat_that_names_its_open_market_stops_it_and_is_not_learned_again(lane):
    opened(lane)
    lane.say("match_result", result(), group="l")
    before = lane.state()
    assert lane.say("match_result", result(), group="l", market_id="M") == []
    assert lane.stopped == {"M"}
    assert lane.state() == before


def test_a_match_is_not_played_after_it_is_reported(lane):
    lane.say("match_result", result(day=1), group="l")
    for day in (2, 5 * 365):
        with pytest.raises(Refused, match="after the event itself"):
            lane.say("match_result", result(day=day), group="l")


def test_a_group_has_a_bounded_number_of_teams_and_its_model_never_refuses(lane):
    for index in range(0, TEAMS_MAX, 2):
        lane.say("match_result", result(f"T{index}", f"T{index + 1}"), group="l")
    before = lane.state()
    with pytest.raises(Refused, match=f"l has {TEAMS_MAX} teams"):
        lane.say("match_result", result("T0", "NEW"), group="l")
    assert lane.state() == before
    lane.say("match_result", result("T0", "T3"), group="l")
    lane.say("match_result", result("T0", "NEW"), group="k")


def test_a_model_whose_league_is_full_learns_nothing_of_a_new_team_and_raises_nothing(lane):
    for index in range(0, TEAMS_MAX, 2):
        lane.say("match_result", result(f"T{index}", f"T{index + 1}"), group="l")
    view, model = lane.views[2], DOMAIN.models["football"]
    before = model.predict(view, opened(lane, home="T0", away="T1"), {"match_day": NOW // DAY})
    for teams in (("T0", "NEW"), ("NEW", "T0"), ("NEW", "NEWER")):
        assert model.learn(view, MatchResult("l", *teams, 1, 0, NOW // DAY)) == NOTHING
    assert model.predict(view, lane.markets["M"], {"match_day": NOW // DAY}) == before
    assert model.learn(view, MatchResult("l", "T0", "T3", 1, 0, NOW // DAY)).changes


def test_a_first_result_of_1970_does_not_end_a_leagues_learning(lane):
    lane.say("match_result", result("X", "Y") | {"original_ms": 1_700_000_000}, group="l")
    played(lane)
    assert lane.views[2].get(LeagueFacts, "l").results == 41


def test_history_that_comes_late_is_not_the_form_of_today(lane):
    lane.say("match_result", result(score=(1, 0), day=-1), group="l")
    lane.say("match_result", result(score=(0, 5), day=-9), group="l")
    form = lane.views[1].get(TeamForm, "l", "A")
    assert (form.games, form.points, form.last_day) == (2, (3,), (NOW - DAY) // DAY)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"home": ""}, "home"),
        ({"home": "😀" * 64}, "256 bytes"),
        ({"home": "ü" * 33}, "66 bytes"),
        ({"away": "A"}, "does not play itself"),
        ({"home_goals": -1}, "home_goals"),
        ({"away_goals": 100}, "away_goals"),
        ({"home_goals": 1.5}, "home_goals"),
        ({"home_goals": 2**70}, "home_goals"),
        ({"original_ms": -1}, "original_ms"),
        ({"original_ms": 10**30}, "original_ms"),
        ({"season": ""}, "season"),
        ({"season": "2026-27\n"}, "season"),
        ({"season": "x" * 17}, "season"),
        ({"venue": "neutral"}, "venue"),
    ],
)
def test_values_out_of_bounds_are_refused(lane, change, why):
    with pytest.raises(Refused, match=why):
        lane.say("match_result", result() | change, group="l")


@pytest.mark.parametrize("name", ["ü" * 32, "A/B", "A\0B", "\n", "Köln", "Ko\u0308ln", "NA"])
def test_a_team_may_be_spelt_in_any_way(lane, name):
    opened(lane, home=name)
    lane.say("match_result", result(name, day=-9), group="l")
    assert lane.row("M")["home_games"] == 1
    assert lane.predict("M").outcomes


def test_a_group_with_a_slash_is_a_group(world):
    lanes = [world(DOMAIN, cold=cold) for cold in (True, False)]
    for lane in lanes:
        for group in ("uefa/cl", "uefa", "u"):
            lane.say("match_result", result(home="cl/A"), group=group)
            opened(lane, group, group=group, home="cl/A")
    assert lanes[0].state() == lanes[1].state()
    assert lanes[0].predict("uefa/cl") == lanes[1].predict("uefa/cl")


def test_outcomes_are_found_by_name_in_any_order(lane):
    played(lane)
    orders = {"M1": ("HOME", "DRAW", "AWAY"), "M2": ("AWAY", "DRAW", "HOME"), "M3": ("DRAW", "HOME", "AWAY")}
    said = {}
    for market_id, outcomes in orders.items():
        opened(lane, market_id, outcomes)
        said[market_id] = dict(zip(outcomes, lane.predict(market_id).outcomes, strict=True))
    assert said["M1"]["HOME"][0] != said["M1"]["AWAY"][0]
    for market_id in ("M2", "M3"):
        for name in orders["M1"]:
            assert said[market_id][name] == pytest.approx(said["M1"][name], abs=1)


@pytest.mark.parametrize(("score", "name"), [((2, 1), "HOME"), ((0, 0), "DRAW"), ((3, 3), "DRAW"), ((0, 99), "AWAY")])
def test_a_checked_result_decides_a_market_by_name(score, name):
    payload = DOMAIN.payloads["match_result"](*result(score=score).values())
    for outcomes in (("HOME", "DRAW", "AWAY"), ("AWAY", "HOME", "DRAW")):
        assert outcomes[DOMAIN.outcome("match_result", payload, outcomes)] == name
    with pytest.raises(Refused):
        DOMAIN.outcome("match_result", payload, ("HOME", "AWAY"))
    with pytest.raises(Refused):
        DOMAIN.outcome("match_result", payload, ("HOME", "DRAW", "AWAY", "HOME"))


def test_a_quote_decides_nothing_and_flags_a_forecast_that_differs(lane):
    played(lane)
    opened(lane, outcomes=("AWAY", "DRAW", "HOME"))
    lane.say("quote", quote(HOME=PPB, DRAW=0, AWAY=0), group="l", market_id="M")
    assert lane.row("M", NOW + 5)["quote_02_ppb"] == PPB
    assert lane.row("M", NOW + 5)["quote_age_ms"] == 5
    assert FLAGS.DIVERGENCE in lane.predict("M").flags
    lane.say("quote", quote(HOME=0, DRAW=0, AWAY=PPB), group="l", market_id="M", event_ms=NOW - 1)
    assert lane.row("M")["quote_02_ppb"] == PPB
    payload = DOMAIN.payloads["quote"]({"HOME": 1, "DRAW": 2, "AWAY": 3}, 0)
    assert DOMAIN.outcome("quote", payload, ("HOME", "DRAW", "AWAY")) is None
    lane.close("M")
    assert not any(kind == "quoted" for kind, _ in lane.views[1].entities)


@pytest.mark.parametrize(
    "p_ppb", [{"HOME": PPB, "AWAY": 0}, {"HOME": PPB, "DRAW": 0, "LOSS": 0}, {"HOME": 1, "DRAW": 1, "AWAY": 1}]
)
def test_a_quote_of_other_outcomes_or_another_sum_is_refused(lane, p_ppb):
    opened(lane)
    with pytest.raises(Refused):
        lane.say("quote", quote(**p_ppb), group="l", market_id="M")
    with pytest.raises(Refused, match="open market"):
        lane.say("quote", quote(HOME=PPB, DRAW=0, AWAY=0), group="l")


@pytest.mark.parametrize("original", ["1" * 30, "9" * 5000, "-1", "", "x", "²", "1.0", "999999999999999"])
def test_a_market_that_does_not_say_when_it_is_played_is_blocked(lane, original):
    opened(lane, original_ms=original)
    assert lane.row("M")["match_day"] == -1
    assert lane.predict("M").flags == FLAGS.BLOCKED | FLAGS.LOW_COVERAGE


def test_a_market_that_is_no_match_is_blocked(lane):
    lane.open("M1", "l", ("HOME", "DRAW", "AWAY"))
    opened(lane, "M2", ("HOME", "DRAW", "OTHER"))
    opened(lane, "M3", home="")
    for market_id in lane.markets:
        assert FLAGS.BLOCKED in lane.predict(market_id).flags


@pytest.mark.parametrize("value", [-(1 << 63), -1, 0, (1 << 63) - 1])
def test_any_value_of_a_parameter_leaves_a_forecast(world, value):
    names = ("min_coverage_games", "divergence_limit_ppb", "wide_interval_ppb")
    lane = world(DOMAIN, params=dict.fromkeys(names, value))
    played(lane, 8)
    opened(lane)
    assert lane.predict("M").outcomes


def test_absurd_scores_never_raise(lane):
    for index in range(120):
        lane.say("match_result", result(score=(99, 0), day=-400 + index), group="l")
        lane.say("match_result", result("C", "A", (0, 60), day=-400 + index), group="l")
    opened(lane)
    assert lane.predict("M").outcomes[0][0] > 900_000_000


names = st.sampled_from(["A", "B", "C", "D/E", "é" * 32, "😀" * 16]) | st.text(max_size=70)
events = st.one_of(
    st.fixed_dictionaries(
        {
            "home": names,
            "away": names,
            "home_goals": st.integers(-1, 100),
            "away_goals": st.integers(0, 99),
            "season": st.sampled_from(["2025-26", "2026-27", ""]),
            "original_ms": st.integers(0, NOW + 3 * DAY) | st.integers(NOW - 900 * DAY, NOW),
        }
    ),
    st.fixed_dictionaries(
        {
            "p_ppb": st.sampled_from(
                [{"HOME": PPB, "DRAW": 0, "AWAY": 0}, {"HOME": 0, "AWAY": 1, "DRAW": PPB - 1}, {"UP": PPB, "DOWN": 0}]
            ),
            "original_ms": st.integers(0, 1 << 64),
        }
    ),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(events, st.sampled_from([None, "M", "N", "O"]), st.integers(-9, 9)), max_size=25))
def test_any_events_raise_nothing_but_refused_and_a_lane_restored_at_every_call_is_the_same(world, history):
    lanes = [world(DOMAIN, cold=cold) for cold in (True, False)]
    for lane in lanes:
        opened(lane, "M")
        opened(lane, "N", ("AWAY", "HOME", "DRAW"), "C", "A")
        lane.open("O", "l", ("UP", "DOWN"))
    for payload, market_id, days in history:
        kind = "quote" if "p_ppb" in payload else "match_result"
        ends = []
        for lane in lanes:
            try:
                lane.say(
                    kind,
                    payload,
                    group="l",
                    market_id=market_id if market_id in lane.markets else None,
                    event_ms=NOW + days * DAY,
                )
                ends.append(None)
            except Refused as error:
                ends.append(str(error))
        assert ends[0] == ends[1]
        assert lanes[0].state() == lanes[1].state()
        for still in lanes[0].markets:
            assert lanes[0].predict(still) == lanes[1].predict(still)


def test_the_artifact_names_the_hyperparameters():
    assert b"dixon_coles_weight=0.5" in DOMAIN.models["football"].artifact()
