"""What holds for all leaves, headers, trees, mountain ranges and digests."""

import hashlib
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0common.canonical import (
    FLAGS,
    BundleHeader,
    LaneDigest,
    MerkleTree,
    MountainRange,
    Outcome,
    PredictionLeaf,
    attestation_digest,
    commitment_hash,
    flag_names,
    input_root,
    leaf_hash,
    node_hash,
    root_from_path,
    signer_set_digest,
    state_root,
)
from m0common.errors import InvalidValue
from m0common.fixedpoint import PPB

digests = st.binary(min_size=32, max_size=32)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def outcome_vectors(draw):
    cuts = sorted(draw(st.lists(st.integers(0, PPB), min_size=1, max_size=31)))
    parts = [high - low for low, high in pairwise([0, *cuts, PPB])]
    return tuple(Outcome(p, draw(st.integers(0, p)), draw(st.integers(p, PPB))) for p in parts)


leaves = st.builds(
    PredictionLeaf,
    market_key=digests,
    epoch_id=u64,
    window_end_ms=i64,
    schema_version=st.integers(0, 65535),
    outcomes=st.one_of(st.just(()), outcome_vectors()),
    risk_bps=st.integers(0, 10_000),
    quality_flags=u32,
    model_key=digests,
    features_hash=digests,
)
headers = st.builds(
    BundleHeader,
    catalog=st.from_regex(r"[a-z0-9_-]{1,16}", fullmatch=True),
    epoch_id=u64,
    window_start_ms=i64,
    window_end_ms=i64,
    signer_set_id=u32,
    leaf_count=u32,
    merkle_root=digests,
    prev_bundle_hash=digests,
    model_manifest_hash=digests,
    config_hash=digests,
    input_root=digests,
    state_root=digests,
)
trees = st.lists(digests, min_size=1, max_size=70)


def split_root(hashes):
    """RFC 6962 section 2.1 read literally: split at the largest power of two below n."""
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(split_root(hashes[:k]), split_root(hashes[k:]))


@given(leaves)
def test_a_leaf_decodes_to_itself_and_has_one_encoding(leaf):
    assert PredictionLeaf.decode(leaf.encode()) == leaf


@given(leaves, st.data())
def test_no_other_length_is_a_leaf(leaf, data):
    encoded = leaf.encode()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for other in (encoded[:cut], encoded + b"\0", b"\0" + encoded):
        with pytest.raises(InvalidValue):
            PredictionLeaf.decode(other)


@given(leaves, st.data())
def test_a_changed_byte_is_refused_or_gives_another_leaf_with_exactly_those_bytes(leaf, data):
    changed = bytearray(leaf.encode())
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        other = PredictionLeaf.decode(bytes(changed))
    except InvalidValue:
        return
    assert other != leaf
    assert other.encode() == bytes(changed)


@given(leaves)
def test_a_leaf_is_the_borsh_layout_of_the_protocol(leaf):
    body = (
        struct.pack("<H", 1)
        + leaf.market_key
        + struct.pack("<QqH", leaf.epoch_id, leaf.window_end_ms, leaf.schema_version)
    )
    body += struct.pack("<I", len(leaf.outcomes)) + b"".join(struct.pack("<III", *o) for o in leaf.outcomes)
    body += struct.pack("<HI", leaf.risk_bps, leaf.quality_flags) + leaf.model_key + leaf.features_hash
    assert leaf.encode() == body


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("market_key", b"short", "market_key of 5 bytes"),
        ("model_key", b"", "model_key of 0 bytes"),
        ("features_hash", bytes(33), "features_hash of 33 bytes"),
        ("outcomes", (Outcome(PPB, 0, PPB),) * 33, "33 outcomes"),
        ("outcomes", (Outcome(PPB - 1, 0, PPB),), "sum to 999999999"),
        ("outcomes", (Outcome(PPB, 0, PPB - 1),), "lo <= p <= hi"),
        ("outcomes", (Outcome(500_000_000, 600_000_000, PPB), Outcome(500_000_000, 0, PPB)), "lo <= p <= hi"),
        ("outcomes", (Outcome(PPB, 0, PPB + 1),), "lo <= p <= hi"),
        ("risk_bps", 10_001, "risk 10001"),
        ("risk_bps", -1, "risk -1"),
    ],
)
def test_a_leaf_outside_its_limits_cannot_be_made(field, value, named):
    fields = {
        "market_key": bytes(32),
        "epoch_id": 1,
        "window_end_ms": 2,
        "schema_version": 1,
        "outcomes": (),
        "risk_bps": 0,
        "quality_flags": 0,
        "model_key": bytes(32),
        "features_hash": bytes(32),
    }
    with pytest.raises(InvalidValue, match=named):
        PredictionLeaf(**(fields | {field: value}))


def test_flag_names_are_the_table_of_the_protocol():
    names = [
        "stale",
        "low_coverage",
        "divergence",
        "outlier",
        "jump",
        "drift",
        "degraded_model",
        "blocked",
        "thin_book",
        "wide_interval",
    ]
    assert flag_names(2**32 - 1) == names
    assert [flag_names(1 << bit) for bit in range(10)] == [[name] for name in names]
    assert int(FLAGS.BLOCKED) == 1 << 7


@given(headers)
def test_a_header_decodes_to_itself_from_250_bytes(header):
    encoded = header.encode()
    assert len(encoded) == 250
    assert BundleHeader.decode(encoded) == header
    assert header.bundle_hash == hashlib.sha256(encoded).digest()


@given(headers, st.integers(0, 249), st.integers(1, 255))
def test_a_changed_byte_of_a_header_is_refused_or_changes_the_bundle_hash(header, at, flip):
    changed = bytearray(header.encode())
    changed[at] ^= flip
    try:
        other = BundleHeader.decode(bytes(changed))
    except InvalidValue:
        return
    assert other.encode() == bytes(changed)
    assert other.bundle_hash != header.bundle_hash


@given(trees)
def test_the_tree_is_that_of_rfc_6962(hashes):
    assert MerkleTree(hashes).root == split_root(hashes)


@given(trees)
def test_every_leaf_of_every_tree_has_a_path_to_the_root(hashes):
    tree = MerkleTree(hashes)
    for index, each in enumerate(hashes):
        assert root_from_path(each, index, len(hashes), tree.path(index)) == tree.root


@given(st.lists(digests, min_size=1, max_size=40, unique=True), st.data())
def test_a_path_proves_one_leaf_at_one_place_only(hashes, data):
    tree = MerkleTree(hashes)
    index = data.draw(st.integers(0, len(hashes) - 1))
    path = tree.path(index)
    for other in range(len(hashes)):
        for leaf in {hashes[index], hashes[other]}:
            if (leaf, other) == (hashes[index], index):
                continue
            try:
                assert root_from_path(leaf, other, len(hashes), path) != tree.root
            except InvalidValue:
                continue


@given(trees, st.data())
def test_a_path_of_the_wrong_length_is_refused(hashes, data):
    tree = MerkleTree(hashes)
    index = data.draw(st.integers(0, len(hashes) - 1))
    path = tree.path(index)
    with pytest.raises(InvalidValue, match="too long"):
        root_from_path(hashes[index], index, len(hashes), [*path, bytes(32)])
    if path:
        with pytest.raises(InvalidValue, match="too short"):
            root_from_path(hashes[index], index, len(hashes), path[:-1])


@given(trees, st.data())
def test_a_changed_bit_of_a_path_leads_to_another_root(hashes, data):
    tree = MerkleTree(hashes)
    index = data.draw(st.integers(0, len(hashes) - 1))
    path = tree.path(index)
    if not path:
        return
    at = data.draw(st.integers(0, len(path) - 1))
    bit = data.draw(st.integers(0, 255))
    path[at] = (int.from_bytes(path[at]) ^ (1 << bit)).to_bytes(32)
    assert root_from_path(hashes[index], index, len(hashes), path) != tree.root


@pytest.mark.parametrize(("index", "count"), [(0, 0), (1, 1), (-1, 3), (3, 3)])
def test_a_place_outside_the_tree_is_refused(index, count):
    with pytest.raises(InvalidValue, match=f"leaf index {index}"):
        root_from_path(bytes(32), index, count, [])


def test_a_tree_over_nothing_is_refused():
    with pytest.raises(InvalidValue, match="no leaves"):
        MerkleTree([])


@given(st.lists(digests, max_size=70))
def test_the_peaks_are_the_perfect_trees_that_make_up_the_range(bundle_hashes):
    mountain = MountainRange().extend(bundle_hashes)
    hashes = [leaf_hash(each) for each in bundle_hashes]
    at = 0
    for height in reversed(range(8)):
        if len(hashes) >> height & 1:
            assert mountain.peaks[height] == split_root(hashes[at : at + (1 << height)])
            at += 1 << height
        else:
            assert mountain.peaks[height] == bytes(32)


@given(st.lists(digests, min_size=2, max_size=8, unique=True))
def test_the_lane_digest_depends_on_the_order_of_events(events):
    def fold(ids):
        digest = LaneDigest()
        for each in ids:
            digest.add(each)
        return digest.value

    assert fold(events) != fold(events[::-1])
    assert fold(events) != fold(events[:-1])


@given(st.dictionaries(st.integers(0, 1000), digests, min_size=1, max_size=8), st.randoms())
def test_roots_do_not_depend_on_the_order_digests_come_in(lanes, random):
    shuffled = list(lanes.items())
    random.shuffle(shuffled)
    assert input_root(lanes) == input_root(dict(shuffled))
    states = {(partition, 1): each for partition, each in lanes.items()}
    assert state_root(states) == state_root({(partition, 1): each for partition, each in shuffled})
    assert input_root(lanes) != state_root(states)


@given(digests, digests, digests)
def test_signing_another_bundle_epoch_catalog_program_or_set_is_another_digest(program, bundle, signers):
    base = attestation_digest(program, "sports", 7, bundle, signers)
    flipped = bytes([bundle[0] ^ 1]) + bundle[1:]
    others = [
        attestation_digest(program, "crypto", 7, bundle, signers),
        attestation_digest(program, "sports", 8, bundle, signers),
        attestation_digest(program, "sports", 7, flipped, signers),
        attestation_digest(flipped, "sports", 7, bundle, signers),
        attestation_digest(program, "sports", 7, bundle, bytes([signers[0] ^ 1]) + signers[1:]),
    ]
    assert base not in others


@pytest.mark.parametrize("at", range(5))
def test_a_commitment_is_made_of_five_hashes_and_names_the_one_that_is_not(at):
    parts = [bytes(32)] * 5
    parts[at] = b"short"
    name = ("program_id", "epoch_pda", "signer", "bundle_hash", "salt")[at]
    with pytest.raises(InvalidValue, match=name):
        commitment_hash(*parts)


@given(st.lists(digests, min_size=1, max_size=32, unique=True), u32, st.integers(1, 32))
def test_signer_set_digest_binds_id_threshold_and_members(keys, set_id, threshold):
    base = signer_set_digest(set_id, threshold, keys)
    assert base == signer_set_digest(set_id, threshold, sorted(keys, reverse=True))
    assert base != signer_set_digest(set_id ^ 1, threshold, keys)
    assert base != signer_set_digest(set_id, threshold ^ 1, keys)
    assert base != signer_set_digest(set_id, threshold, keys[1:])
