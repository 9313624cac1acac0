"""One epoch on a real Agave node, at the compute cost of LiteSVM."""

import os

import pytest
from m0svm.cases import case
from m0svm.oracle import EPOCH_MS, Oracle, bundle
from m0svm.validator import Validator

pytestmark = [pytest.mark.validator, pytest.mark.timeout(600)]
PHASE_MS = 60_000


@pytest.fixture
def node(tmp_path):
    binary = os.environ.get("M0_TEST_VALIDATOR")
    if not binary:
        pytest.skip("M0_TEST_VALIDATOR does not name a solana-test-validator")
    node = Validator(binary, tmp_path / "ledger")
    yield node
    node.stop()


def test_an_epoch_is_finalized_and_verified_on_agave_at_litesvms_cost(node):
    oracle = Oracle(chain=node)
    oracle.initialize().with_accounts(admin=oracle.sponsor).fails("NotUpgradeAuthority")
    oracle.initialize().ok()
    oracle.create_signer_set().ok()
    oracle.create_catalog().with_args(commit_ms=PHASE_MS, reveal_ms=PHASE_MS).ok()

    epoch_id = node.now_ms() // EPOCH_MS - 1
    b = bundle(epoch_id)
    oracle.open(epoch_id + 1).fails("WindowNotOver")
    oracle.open(epoch_id).ok()
    units = {"commit": oracle.commit(epoch_id, 0, b).ok().units}
    oracle.commit(epoch_id, 0, b).fails("AlreadyCommitted")
    for who in (1, 2):
        oracle.commit(epoch_id, who, b).ok()
    units["reveal"] = oracle.reveal(epoch_id, 0, b).ok().units
    for who in (1, 2):
        oracle.reveal(epoch_id, who, b).ok()
    result = oracle.finalize(epoch_id).ok()
    units["finalize_epoch"] = result.units
    assert result.event("EpochFinalized")["merkle_root"] == b.tree.root
    verified = oracle.verify(b, 3).ok()
    units["verify_prediction"] = verified.units
    assert verified.returned[40:].ljust(32, b"\0") == b.tree.root
    oracle.verify(b, 3, leaf_index=2).fails("InvalidProof")
    oracle.post(b, 3).ok()
    assert oracle.catalog()["last_finalized_epoch"] == epoch_id

    in_litesvm = {name: case("m0_oracle", name)[1].ok().units for name in units}
    assert units == in_litesvm
