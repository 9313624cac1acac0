"""Ingest counts no failures in ordinary work, and little else than what the settings and the data name."""

from m0_ingest import metrics
from m0common.metrics_page import metrics as metrics_of
from m0common.telemetry.metrics import Counter


def failures():
    return {each.definition.name: each.failures() for each in metrics_of(metrics) if isinstance(each, Counter)}


async def test_a_history_that_goes_as_it_should_moves_no_counter_of_failures(rig):
    before = failures()
    written = sum(value for _, value in metrics.WRITTEN.values())
    await rig.player.turn()
    rig.open("BTC_1", "FB_1")
    await rig.play(6_000)
    assert sum(value for _, value in metrics.WRITTEN.values()) > written
    assert failures() == before
