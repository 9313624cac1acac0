"""The catalog's ring and mountain range, and the feed's ring, over more epochs than they hold."""

from m0common.canonical import MountainRange, leaf_hash
from m0svm.oracle import FIRST_EPOCH as E
from m0svm.oracle import Oracle, bundle

RING, FEED_RING = 64, 16
EPOCHS = 70


def alone() -> Oracle:
    """An oracle whose every signer is enough, for speed."""
    oracle = Oracle()
    oracle.initialize().ok()
    oracle.create_signer_set(threshold=1, keys=oracle.keys[:1]).ok()
    oracle.create_catalog().ok()
    return oracle


def test_ring_and_peaks_follow_every_finalized_epoch_past_the_rings_end():
    oracle, mountains, bundles = alone(), MountainRange(), []
    for n in range(EPOCHS):
        b = bundle(E + 2 * n, 1 + n % 7)
        oracle.revealed(E + 2 * n, b, (0,))
        oracle.finalize(E + 2 * n).ok()
        bundles.append(b)
        mountains.append(b.hash)
        catalog = oracle.catalog()
        assert (catalog["finalized_count"], catalog["last_finalized_epoch"]) == (n + 1, E + 2 * n)
        assert catalog["peaks"] == mountains.peaks
        assert catalog["ring_head"] == (n + 1) % RING
        newest = catalog["ring"][(catalog["ring_head"] - 1) % RING]
        assert (newest["epoch_id"], newest["bundle_hash"]) == (E + 2 * n, b.hash)
    held = {entry["epoch_id"]: entry["merkle_root"] for entry in catalog["ring"]}
    assert held == {b.header.epoch_id: b.tree.root for b in bundles[-RING:]}

    for b in (bundles[-RING], bundles[-1], bundles[-30]):
        oracle.verify(b, 0).ok()
    for b in (bundles[0], bundles[-RING - 1]):
        oracle.verify(b, 0).fails("EpochNotInRing")
    between = bundle(E + 2 * (EPOCHS - 3) + 1)  # an epoch that was skipped
    oracle.verify(between, 0).fails("EpochNotInRing")


def test_a_feed_keeps_its_sixteen_latest_predictions():
    oracle, hashes = alone(), []
    for n in range(FEED_RING + 3):
        b = bundle(E + n, 3)
        oracle.revealed(E + n, b, (0,))
        oracle.finalize(E + n).ok()
        oracle.post(b, 1).ok()
        hashes.append((E + n, leaf_hash(b.leaves[1])))
    feed = oracle.chain.account("Feed", oracle.feed_at(b.leaves[1][2:34]))
    assert feed["post_count"] == FEED_RING + 3
    assert feed["ring_head"] == 3
    assert {(e["epoch_id"], e["leaf_hash"]) for e in feed["ring"]} == set(hashes[-FEED_RING:])
    newest = feed["ring"][(feed["ring_head"] - 1) % FEED_RING]
    assert (newest["epoch_id"], newest["leaf_hash"]) == hashes[-1]
