"""Proper scores against closed forms and a published example."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0quant import scoring
from m0quant.errors import QuantError


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.data())
def test_scores_agree_with_numpy(weights, data):
    p = np.array(weights) / sum(weights)
    outcome = data.draw(st.integers(0, len(weights) - 1))
    hit = np.eye(len(p))[outcome]
    assert scoring.brier(p.tolist(), outcome) == pytest.approx(np.square(p - hit).sum())
    assert scoring.log_loss(p.tolist(), outcome) == pytest.approx(-math.log(p[outcome]))
    ranked = np.square(np.cumsum(p - hit)[:-1]).sum() / (len(p) - 1)
    assert scoring.rps(p.tolist(), outcome) == pytest.approx(ranked)


def test_ranked_probability_score_rewards_a_near_miss():
    # Constantinou and Fenton (2012), table 2: match 4, forecasts alpha and beta for an away win
    assert scoring.rps((0.60, 0.25, 0.15), 2) > scoring.rps((0.60, 0.15, 0.25), 2)


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_the_truth_has_the_best_expected_score(truth, other):
    for score in (scoring.brier, scoring.log_loss, scoring.rps):
        own = truth * score((truth, 1 - truth), 0) + (1 - truth) * score((truth, 1 - truth), 1)
        rival = truth * score((other, 1 - other), 0) + (1 - truth) * score((other, 1 - other), 1)
        assert own <= rival + 1e-12


def test_calibration_error_is_the_mean_gap():
    assert scoring.ece([0.9, 0.9, 0.1, 0.1], [True, True, False, False]) == pytest.approx(0.1)
    assert scoring.ece([0.5, 0.5], [True, False]) == 0.0


def test_a_wrong_certainty_costs_much_but_not_everything():
    assert scoring.log_loss((1.0, 0.0), 1) == pytest.approx(-math.log(scoring.SMALLEST))


@pytest.mark.parametrize("p", [(0.5, 0.6), (1.2, -0.2), (math.nan, 0.5)])
def test_what_is_no_distribution_is_not_scored(p):
    with pytest.raises(QuantError):
        scoring.brier(p, 0)


def test_bad_arguments_are_refused():
    for call in (
        lambda: scoring.brier((0.5, 0.5), 2),
        lambda: scoring.ece([], []),
        lambda: scoring.ece([0.5], [True, False]),
        lambda: scoring.ece([1.5], [True]),
    ):
        with pytest.raises(QuantError):
            call()
