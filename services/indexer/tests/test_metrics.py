"""The indexer counts no failures while the chain and the log say what they should."""

import pytest
from m0_indexer import metrics
from m0common.metrics_page import metrics as metrics_of
from m0common.telemetry.metrics import Counter
from m0common.topics import FINALIZED_EPOCHS


def failures():
    return {each.definition.name: each.failures() for each in metrics_of(metrics) if isinstance(each, Counter)}


@pytest.mark.postgres
async def test_an_epoch_from_the_chain_to_the_broker_moves_no_counter_of_failures(bench):
    before = failures()
    bench.scene.set_up()
    bench.scene.market("A")
    bundle = bench.scene.bundle(7, {"A": [500_000_000, 300_000_000, 200_000_000]})
    bench.scene.whole_epoch(bundle)
    bench.chain.finalize()
    await bench.index()
    await bench.publish()  # its bundle is not here yet, which is ordinary
    await bench.store(bundle)
    await bench.publish()
    assert [len(bench.broker.log(FINALIZED_EPOCHS.name, p)) for p in range(2)].count(1) == 1
    assert failures() == before
