"""Verifying and posting predictions."""

import struct

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from m0common.canonical import MerkleTree, leaf_hash, node_hash, root_from_path
from m0common.errors import InvalidValue
from m0svm.oracle import EPOCH_MS, Bundle, bundle, leaf
from m0svm.oracle import FIRST_EPOCH as E
from m0svm.settable import Settable
from solders.pubkey import Pubkey

WINDOW_END = (E + 1) * EPOCH_MS


@pytest.fixture
def finalized(oracle):
    """An oracle with one finalized bundle of eleven leaves."""
    return oracle, oracle.finalized(E, bundle(E, 11))


# ---------------------------------------------------------------- verifying


def test_every_leaf_of_a_bundle_verifies_and_the_answer_is_returned(finalized):
    oracle, b = finalized
    for index in range(11):
        result = oracle.verify(b, index).ok()
        assert (
            result.returned.ljust(72, b"\0") == leaf_hash(b.leaves[index]) + struct.pack("<q", WINDOW_END) + b.tree.root
        )


@pytest.mark.parametrize("outcomes", [0, 1, 2, 31, 32])
def test_leaves_of_every_number_of_outcomes_verify(oracle, outcomes):
    b = oracle.finalized(E, bundle(E, [leaf(E, 0, outcomes=outcomes).encode()]))
    oracle.verify(b, 0).ok()
    oracle.post(b, 0).ok()
    feed = oracle.chain.account("Feed", oracle.feed_at(b.leaves[0][2:34]))
    assert feed["leaf"][: feed["leaf_len"]] == b.leaves[0]


def test_a_leaf_at_another_index_or_with_another_path_is_refused(finalized):
    oracle, b = finalized
    path = b.tree.path(3)
    for index in (2, 4, 10, 11, 2**32 - 1):
        oracle.verify(b, 3, leaf_index=index).fails("InvalidProof")
    for siblings in ([], path[:-1], [*path, bytes(32)], path[::-1], [bytes(32), *path[1:]]):
        oracle.verify(b, 3, siblings=siblings).fails("InvalidProof")


def test_any_changed_byte_of_the_leaf_is_refused(finalized):
    oracle, b = finalized
    original = b.leaves[3]
    for at in range(len(original)):
        changed = bytearray(original)
        changed[at] ^= 0x40
        assert oracle.verify(b, 3, leaf=bytes(changed)).send().error in ("InvalidProof", "InvalidLeaf", "LeafMismatch")


def test_any_changed_byte_of_the_path_is_refused(finalized):
    oracle, b = finalized
    for n, sibling in enumerate(b.tree.path(3)):
        for at in range(32):
            changed = bytearray(sibling)
            changed[at] ^= 1
            path = [*b.tree.path(3)[:n], bytes(changed), *b.tree.path(3)[n + 1 :]]
            oracle.verify(b, 3, siblings=path).fails("InvalidProof")


def test_a_leaf_that_is_not_of_schema_one_is_refused(finalized):
    oracle, b = finalized
    good = b.leaves[3]
    count = 2 + 32 + 8 + 8 + 2
    wrong = [
        b"",
        good[:-1],
        good + b"\0",
        b"\2" + good[1:],
        good[:count] + struct.pack("<I", 2) + good[count + 4 :],
        good[:count] + struct.pack("<I", 33) + bytes(33 * 12) + good[-70:],
        good[:count] + b"\xff\xff\xff\xff" + good[count + 4 :],
    ]
    for bad in wrong:
        oracle.verify(b, 3, leaf=bad).fails("InvalidLeaf")


def test_a_leaf_of_another_epoch_or_window_is_refused_even_in_a_finalized_tree(oracle):
    strays = [leaf(E + 1, 0).encode(), leaf(E, 1, window_end_ms=WINDOW_END + 1).encode()]
    b = oracle.finalized(E, bundle(E, strays))
    for index in range(2):
        oracle.verify(b, index).fails("LeafMismatch")


def test_an_epoch_that_was_never_finalized_is_refused(oracle):
    oracle.verify(bundle(E), 0).fails("EpochNotInRing")
    oracle.verify(bundle(0), 0).fails("EpochNotInRing")


@pytest.mark.parametrize(("age_ms", "error"), [(4000, None), (5000, None), (6000, "PredictionTooOld")])
def test_a_prediction_older_than_the_caller_accepts_is_refused(finalized, age_ms, error):
    oracle, b = finalized
    oracle.at_end_of(E, age_ms)
    assert oracle.verify(b, 0, max_age_ms=5000).send().error == error
    oracle.verify(b, 0, max_age_ms=0).ok()
    oracle.verify(b, 0, max_age_ms=-1).fails("InvalidMaxAge")


def test_fewer_signers_than_the_caller_demands_are_refused(oracle):
    b = bundle(E)
    oracle.revealed(E, b, (0, 2))
    oracle.finalize(E).ok()
    oracle.verify(b, 0, min_signers=2).ok()
    oracle.verify(b, 0, min_signers=3).fails("TooFewSigners")


def test_a_leaf_or_path_that_the_data_does_not_hold_is_refused(finalized):
    oracle, b = finalized
    call = oracle.verify(b, 3)
    data = call.instruction().data
    fixed = 8 + 8 + 4 + 8 + 1
    at_siblings = fixed + 4 + len(b.leaves[3])
    for at in (fixed, at_siblings):
        for value in (b"\xff\xff\xff\xff", struct.pack("<I", struct.unpack_from("<I", data, at)[0] + 1)):
            call.with_data(data[:at] + value + data[at + 4 :]).fails("InvalidInstruction")


# ---------------------------------------------------------------- posting


def test_posting_creates_the_feed_and_stores_the_leaf(finalized):
    oracle, b = finalized
    key = b.leaves[3][2:34]
    event = oracle.post(b, 3).ok().event("PredictionPosted")
    hashed = leaf_hash(b.leaves[3])
    assert event == {"market_key": key, "epoch_id": E, "leaf_hash": hashed, "window_end_ms": WINDOW_END}
    feed = oracle.chain.account("Feed", oracle.feed_at(key))
    assert (feed["market_key"], feed["epoch_id"], feed["window_end_ms"]) == (key, E, WINDOW_END)
    assert (feed["post_count"], feed["ring_head"]) == (1, 1)
    assert feed["posted_slot"] == oracle.chain.svm.get_clock().slot
    assert feed["leaf"] == b.leaves[3].ljust(600, b"\0")
    entry = {"epoch_id": E, "window_end_ms": WINDOW_END, "risk_bps": 250, "quality_flags": 5, "leaf_hash": hashed}
    assert feed["ring"][0] == entry


def test_only_a_newer_epoch_is_posted(oracle):
    first = oracle.finalized(E, bundle(E, [leaf(E, 0, outcomes=32).encode()]))
    second = oracle.finalized(E + 1, bundle(E + 1, [leaf(E + 1, 0, outcomes=2).encode()]))
    oracle.post(first, 0).ok()
    oracle.post(first, 0).fails("FeedNotOlder")
    oracle.post(second, 0).ok()
    oracle.post(first, 0).fails("FeedNotOlder")
    feed = oracle.chain.account("Feed", oracle.feed_at(first.leaves[0][2:34]))
    assert feed["leaf"] == second.leaves[0].ljust(600, b"\0")


def test_posting_checks_what_verifying_checks(finalized):
    oracle, b = finalized
    oracle.post(b, 3, siblings=b.tree.path(4)).fails("InvalidProof")
    oracle.post(b, 3, leaf_index=4).fails("InvalidProof")
    oracle.post(b, 3, min_signers=4).fails("TooFewSigners")
    oracle.post(b, 3, max_age_ms=-1).fails("InvalidMaxAge")
    oracle.post(b, 3, epoch_id=E + 1).fails("EpochNotInRing")
    oracle.at_end_of(E, 9000)
    oracle.post(b, 3, max_age_ms=5000).fails("PredictionTooOld")


def test_a_prediction_is_posted_only_into_its_own_markets_feed(finalized):
    oracle, b = finalized
    other = oracle.feed_at(b.leaves[4][2:34])
    oracle.post(b, 3).with_accounts(feed=other).fails("WrongAddress")
    oracle.post(b, 4).ok()
    oracle.post(b, 3).with_accounts(feed=other).fails("WrongAddress")
    oracle.post(b, 3).with_accounts(feed=Pubkey.new_unique()).fails("WrongAddress")


def test_lamports_sent_to_a_feed_beforehand_do_not_keep_it_from_being_created(finalized):
    oracle, b = finalized
    oracle.chain.svm.airdrop(oracle.feed_at(b.leaves[3][2:34]), 1_000_000)
    oracle.post(b, 3).ok()
    assert oracle.chain.account("Feed", oracle.feed_at(b.leaves[3][2:34]))["post_count"] == 1


# ---------------------------------------------------------------- properties


@pytest.fixture(scope="module")
def settable():
    return Settable()


SLOW = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SLOW
@given(data=st.data(), count=st.integers(1, 300))
def test_the_chain_accepts_exactly_the_paths_of_random_trees(settable, data, count):
    tree = _tree(count)
    index = data.draw(st.integers(0, count - 1))
    settable.finalize(tree.root, count)
    b = Bundle(_LEAVES, tree, bundle(E).header)
    settable.oracle.verify(b, index).ok()
    wrong = data.draw(st.integers(0, count - 1).filter(lambda i: i != index)) if count > 1 else 1
    settable.oracle.verify(b, index, leaf_index=wrong).fails("InvalidProof")


@SLOW
@given(
    index=st.integers(0, 40) | st.integers(0, 2**32 - 1),
    count=st.integers(1, 40) | st.integers(1, 2**32 - 1),
    length=st.integers(0, 9),
    seed=st.integers(0, 255),
)
@example(index=2**32 - 2, count=2**32 - 1, length=9, seed=0)
@example(index=0, count=1, length=0, seed=0)
def test_chain_and_python_agree_on_any_index_count_and_path(settable, index, count, length, seed):
    """Whatever root Python finds for a path, the chain finds too; where Python finds none, the chain refuses."""
    siblings = [bytes([seed, n]) * 16 for n in range(length)]
    hashed = leaf_hash(_LEAVES[0])
    try:
        root, error = root_from_path(hashed, index, count, siblings), None
    except InvalidValue:
        root, error = hashed, "InvalidProof"
    settable.finalize(root, count)
    call = settable.oracle.call(
        "verify_prediction",
        {},
        epoch_id=E,
        leaf_index=index,
        max_age_ms=0,
        min_signers=0,
        leaf=_LEAVES[0],
        siblings=siblings,
    )
    assert call.send().error == error


@pytest.mark.parametrize("depth", range(10, 25))
def test_the_last_leaf_of_a_tree_just_above_a_power_of_two_verifies_with_one_sibling(settable, depth):
    count = 2**depth + 1
    hashed, left = leaf_hash(_LEAVES[0]), bytes([depth]) * 32
    settable.finalize(root_from_path(hashed, count - 1, count, [left]), count)
    b = Bundle(_LEAVES, _tree(1), bundle(E).header)
    settable.oracle.verify(b, 0, leaf_index=count - 1, siblings=[left]).ok()
    settable.oracle.verify(b, 0, leaf_index=count - 2, siblings=[left]).fails("InvalidProof")


@pytest.mark.parametrize(("index", "count"), [(0, 1), (0, 2), (1, 2), (2, 3), (4, 5)])
def test_a_path_longer_than_the_tree_is_refused_even_for_the_root_it_leads_to(settable, index, count):
    hashed, extra = leaf_hash(_LEAVES[0]), bytes([3]) * 32
    path = [bytes([n]) * 32 for n in range(len(_tree(count).path(index)))]
    longer = node_hash(extra, root_from_path(hashed, index, count, path))
    settable.finalize(longer, count)
    b = Bundle(_LEAVES, _tree(1), bundle(E).header)
    settable.oracle.verify(b, 0, leaf_index=index, siblings=[*path, extra]).fails("InvalidProof")


_LEAVES = [leaf(E, n, outcomes=n % 4).encode() for n in range(300)]


def _tree(count: int) -> MerkleTree:
    return MerkleTree([leaf_hash(x) for x in _LEAVES[:count]])
