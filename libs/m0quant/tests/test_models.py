"""Elo, ordered logit, Dixon-Coles, pools and intervals against independent references."""

import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st
from m0quant import dixon_coles, elo, interval, ordered_logit, pool
from m0quant.dixon_coles import DixonColesParams, Played
from m0quant.elo import EloParams
from m0quant.errors import QuantError
from m0quant.ordered_logit import CutPoints

PARAMS = EloParams()


@given(st.floats(1000, 2000), st.floats(1000, 2000), st.integers(0, 9), st.integers(0, 9))
def test_elo_points_are_conserved(home, away, home_goals, away_goals):
    new_home, new_away = elo.updated(PARAMS, home, away, home_goals, away_goals)
    assert math.isclose(new_home + new_away, home + away, abs_tol=1e-9)
    if home_goals > away_goals:
        assert new_home > home


def test_elo_expectation_is_the_logistic_of_the_rating_difference():
    assert elo.expected(EloParams(home=0.0), 1600, 1400) == pytest.approx(1 / (1 + 10 ** (-200 / 400)), rel=1e-12)


def test_an_upset_by_many_goals_moves_more_than_an_expected_win():
    assert elo.margin_multiplier(3, -200.0) > elo.margin_multiplier(3, 200.0) > elo.margin_multiplier(1, 200.0)
    assert elo.margin_multiplier(0, 0.0) == 1.0
    assert elo.margin_multiplier(1, 0.0) == pytest.approx(1.0)


def test_a_season_break_draws_ratings_to_the_mean():
    assert elo.regressed(EloParams(keep=0.5), 1700.0) == 1600.0


@given(st.floats(-800, 800))
def test_ordered_logit_sums_to_one_and_mirrors(lead):
    cuts = CutPoints()
    home, draw, away = ordered_logit.probabilities(cuts, lead)
    assert home + draw + away == pytest.approx(1.0, abs=1e-12)
    assert min(home, draw, away) >= 0
    assert ordered_logit.probabilities(cuts, -lead) == pytest.approx((away, draw, home), abs=1e-12)


def test_cut_points_without_room_for_a_draw_are_refused():
    with pytest.raises(QuantError):
        CutPoints(home=0.1, away=-0.2)


def reference_outcomes(home_rate, away_rate, rho):
    goals = np.arange(200)
    matrix = np.outer(scipy.stats.poisson.pmf(goals, home_rate), scipy.stats.poisson.pmf(goals, away_rate))
    matrix[0, 0] *= 1 - home_rate * away_rate * rho
    matrix[0, 1] *= 1 + home_rate * rho
    matrix[1, 0] *= 1 + away_rate * rho
    matrix[1, 1] *= 1 - rho
    matrix /= matrix.sum()
    return np.tril(matrix, -1).sum(), np.trace(matrix), np.triu(matrix, 1).sum()


@given(st.floats(0.1, 4.0), st.floats(0.1, 4.0), st.floats(-0.2, 0.05))
def test_score_matrix_agrees_with_scipy(home_rate, away_rate, rho):
    ours = dixon_coles.outcome_probabilities(home_rate, away_rate, rho)
    assert ours == pytest.approx(reference_outcomes(home_rate, away_rate, rho), abs=1e-7)


def test_goals_beyond_ten_are_counted():
    assert dixon_coles.outcome_probabilities(12, 10, 0.0) == pytest.approx((0.625, 0.078, 0.297), abs=5e-4)


@given(st.floats(0, 1e18), st.floats(0, 1e18), st.floats(-5, 5))
def test_probabilities_stay_in_range_for_any_rates_and_rho(home_rate, away_rate, rho):
    p = dixon_coles.outcome_probabilities(home_rate, away_rate, rho)
    assert sum(p) == pytest.approx(1.0)
    assert min(p) >= -1e-15


def test_fitting_converges_to_the_maximum_of_the_posterior():
    rng = np.random.default_rng(7)
    count, params = 5, DixonColesParams(passes=400)
    strength_a, strength_d = rng.uniform(0.6, 1.5, count), rng.uniform(0.6, 1.5, count)
    pairs = []
    at_home, goals = np.zeros((count, count)), np.zeros((2, count))
    for i in range(count):
        for j in range(count):
            if i != j:
                games = float(rng.integers(1, 5))
                home = float(rng.poisson(games * 1.5 * strength_a[i] * strength_d[j]))
                away = float(rng.poisson(games * 1.1 * strength_a[j] * strength_d[i]))
                pairs.append((i, j, games, home, away))
                at_home[i, j] = games
                goals[:, i] += home, away
                goals[:, j] += away, home
    home_goals, away_goals = (sum(pair[place] for pair in pairs) for place in (3, 4))
    played = Played(at_home.tolist(), at_home.T.tolist(), *goals.tolist(), home_goals, away_goals)
    fit = dixon_coles.fitted(params, played, [1.0] * count, [1.0] * count)

    def loss(theta):
        a, d = np.exp(theta[:count]), np.exp(theta[count : 2 * count])
        home_rate, away_rate = np.exp(theta[2 * count :])
        value = -params.shrink * (np.sum(theta[: 2 * count]) - a.sum() - d.sum())
        value -= params.base_games * (params.base_home * theta[-2] - home_rate)
        value -= params.base_games * (params.base_away * theta[-1] - away_rate)
        for i, j, games, home, away in pairs:
            value -= home * (theta[-2] + theta[i] + theta[count + j]) - games * home_rate * a[i] * d[j]
            value -= away * (theta[-1] + theta[j] + theta[count + i]) - games * away_rate * a[j] * d[i]
        return value

    best = scipy.optimize.minimize(loss, np.zeros(2 * count + 2), method="BFGS", options={"gtol": 1e-8})
    expected = np.exp(best.x)
    assert fit.attack == pytest.approx(expected[:count], abs=1e-5)
    assert fit.defence == pytest.approx(expected[count : 2 * count], abs=1e-5)
    assert (fit.home, fit.away) == pytest.approx(expected[-2:], abs=1e-5)


def test_a_weight_doubles_in_one_half_life():
    assert dixon_coles.decay(0, 365) == 1.0
    assert dixon_coles.decay(365, 365) == pytest.approx(2.0)


def test_a_linear_pool_is_the_weighted_mean():
    assert pool.linear([(0.2, 0.8), (0.6, 0.4)], [1.0, 3.0]) == pytest.approx((0.5, 0.5))
    assert pool.divergence((0.2, 0.8), (0.6, 0.4)) == pytest.approx(0.4)
    for forecasts, weights in (([], []), ([(1.0,)], [-1.0]), ([(1.0,), (0.5, 0.5)], [1.0, 1.0]), ([(1.0,)], [0.0])):
        with pytest.raises(QuantError):
            pool.linear(forecasts, weights)


@given(st.floats(0, 1), st.floats(0.01, 1e6))
def test_an_interval_contains_its_point_and_lies_in_zero_to_one(p, evidence):
    lo, hi = interval.wilson(p, evidence)
    assert 0 <= lo <= p <= hi <= 1


@given(st.floats(0.05, 0.95), st.integers(30, 400))
def test_wilson_agrees_with_scipy(p, trials):
    hits = round(p * trials)
    ours = interval.wilson(hits / trials, trials)
    theirs = scipy.stats.binomtest(hits, trials).proportion_ci(0.90, method="wilson")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_more_evidence_narrows_an_interval():
    widths = [hi - lo for lo, hi in (interval.wilson(0.4, n) for n in (5, 50, 500))]
    assert widths == sorted(widths, reverse=True)
    with pytest.raises(QuantError):
        interval.wilson(0.5, 0.0)
