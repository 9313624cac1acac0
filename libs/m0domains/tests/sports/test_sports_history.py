"""The committed seasons through the domain: forecasts of matches before their results, as good as they were."""

import datetime as dt
import math

import pytest
from m0domains.history import Observation
from m0domains.sports import DOMAIN
from m0domains.sports import dataset as football
from m0quant import scoring

LEAGUES = ("at.1", "de.1", "eng.1", "es.1", "it.1")


def taken(lane, item):
    """An observation of the dataset as the JSON that a connector writes."""
    payload = {name: getattr(item.payload, name) for name in item.payload.__struct_fields__}
    lane.say(item.kind, payload, group=item.group, market_id=item.market)


@pytest.fixture(scope="module")
def forecasts(world):
    """`(probabilities, outcome)` of every match of 2016-17, walking forward through all seasons."""
    lane = world(DOMAIN)
    options = football.FootballOptions(dt.date(2016, 7, 1), 7, 4, {name: name for name in LEAGUES})
    dataset, found = football.load(options), []
    for index in range(dataset.item_count):
        item = dataset.item(1, index).item
        assert isinstance(item, Observation)
        if item.market is not None:
            listing = dataset.find(item.market)
            lane.open(item.market, item.group, listing.outcomes, **listing.attributes)
            said = lane.predict(item.market)
            decided = DOMAIN.outcome(item.kind, item.payload, listing.outcomes)
            found.append((tuple(p / 1e9 for p, _, _ in said.outcomes), decided))
        taken(lane, item)
    return found


def test_the_log_loss_of_an_unseen_season_is_what_it_was(forecasts):
    assert len(forecasts) == 1626
    loss = math.fsum(scoring.log_loss(p, outcome) for p, outcome in forecasts) / len(forecasts)
    assert loss == pytest.approx(0.9464, abs=0.0001)


def test_a_lane_restored_at_every_call_is_the_one_that_never_was(world):
    options = football.FootballOptions(dt.date(2013, 11, 1), 7, 4, {"de.1": "Bundesliga"})
    dataset = football.load(options)
    lanes = [world(DOMAIN, cold=cold) for cold in (True, False)]
    for index in range(150):
        item = dataset.item(1, index).item
        for lane in lanes:
            if item.market is not None:
                lane.open(item.market, item.group, football.OUTCOMES, **dataset.find(item.market).attributes)
        if item.market is not None:
            assert lanes[0].predict(item.market) == lanes[1].predict(item.market)
        for lane in lanes:
            taken(lane, item)
    assert lanes[0].state() == lanes[1].state()
