"""The SDK's own readers agree with m0common.canonical, m0chain and the golden vectors."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0chain import accounts as chain_accounts
from m0chain import pda
from m0client import DecodeError, accounts, attestation, header, leaf, merkle
from m0client_world import World
from m0common.canonical import FLAGS, BundleHeader, MerkleTree, PredictionLeaf, attestation_digest, flag_names
from m0common.canonical import leaf_hash as common_leaf_hash
from m0common.ids import catalog_bytes
from solders.pubkey import Pubkey

VECTORS = Path(__file__).parents[3] / "tests" / "vectors"


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


@pytest.mark.parametrize("vector", load("leaves"), ids=lambda v: v["name"])
def test_leaves_of_the_vectors_decode_field_by_field(vector):
    decoded = leaf.decode_leaf(bytes.fromhex(vector["encoded"]))
    assert merkle.leaf_hash(bytes.fromhex(vector["encoded"])).hex() == vector["leaf_hash"]
    assert [list(o) for o in decoded.outcomes] == vector["outcomes"]
    for field in ("epoch_id", "window_end_ms", "schema_version", "risk_bps", "quality_flags"):
        assert getattr(decoded, field) == vector[field]
    for field in ("market_key", "model_key", "features_hash"):
        assert getattr(decoded, field).hex() == vector[field]


@pytest.mark.parametrize("vector", load("headers"), ids=lambda v: v["name"])
def test_headers_of_the_vectors_decode_field_by_field(vector):
    encoded = bytes.fromhex(vector["encoded"])
    decoded = header.decode_header(encoded)
    common = BundleHeader.decode(encoded)
    assert header.bundle_hash(encoded).hex() == vector["bundle_hash"]
    for field in header.Header.__dataclass_fields__:
        assert getattr(decoded, field) == getattr(common, field)


@pytest.mark.parametrize("vector", load("merkle"), ids=lambda v: f"{v['leaf_count']} leaves")
def test_paths_of_the_vectors_lead_to_their_roots(vector):
    for index, path in enumerate(vector["paths"]):
        hashed = bytes.fromhex(vector["leaf_hashes"][index])
        siblings = [bytes.fromhex(each) for each in path]
        assert merkle.root_from_path(hashed, index, vector["leaf_count"], siblings).hex() == vector["root"]


def test_signer_sets_and_attestations_of_the_vectors_hold():
    for vector in load("signer_sets"):
        keys = [bytes.fromhex(key) for key in vector["keys"]]
        assert attestation.signer_set_digest(vector["id"], vector["threshold"], keys).hex() == vector["digest"]
    for vector in load("attestations"):
        parts = {k: bytes.fromhex(vector[k]) for k in ("program_id", "bundle_hash", "signer_set_digest")}
        digest = attestation.attestation_digest(
            parts["program_id"],
            accounts.catalog_bytes(vector["catalog"]),
            vector["epoch_id"],
            parts["bundle_hash"],
            parts["signer_set_digest"],
        )
        assert digest.hex() == vector["digest"]


@given(st.binary(max_size=600))
def test_any_bytes_are_read_as_m0common_reads_them_or_refused(data):
    for ours, theirs in ((leaf.decode_leaf, PredictionLeaf.decode), (header.decode_header, BundleHeader.decode)):
        try:
            expected = theirs(data)
        except ValueError:
            with pytest.raises(DecodeError):
                ours(data)
        else:
            assert ours(data).epoch_id == expected.epoch_id


@given(st.sampled_from(load("leaves")), st.integers(0, 500), st.integers(1, 255))
def test_a_damaged_leaf_is_refused_exactly_when_m0common_refuses_it(vector, at, flip):
    data = bytearray(bytes.fromhex(vector["encoded"]))
    data[at % len(data)] ^= flip
    try:
        expected = PredictionLeaf.decode(bytes(data))
    except ValueError:
        with pytest.raises(DecodeError):
            leaf.decode_leaf(bytes(data))
    else:
        assert leaf.decode_leaf(bytes(data)).quality_flags == expected.quality_flags


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=40), st.data())
def test_paths_lead_where_the_tree_of_m0common_says(bodies, data):
    hashes = [common_leaf_hash(body) for body in bodies]
    tree = MerkleTree(hashes)
    index = data.draw(st.integers(0, len(hashes) - 1))
    hashed = merkle.leaf_hash(bodies[index])
    assert merkle.root_from_path(hashed, index, len(hashes), tree.path(index)) == tree.root
    with pytest.raises(DecodeError):
        merkle.root_from_path(hashed, index, len(hashes), [*tree.path(index), bytes(32)])


@given(st.integers(0, 2**64 - 1), st.from_regex(r"[a-z0-9_-]{1,16}", fullmatch=True), st.integers(0, 2**32 - 1))
def test_addresses_and_digests_are_those_of_m0common(epoch_id, catalog, set_id):
    program = Pubkey(b"\x07" * 32)
    assert accounts.epoch_address(program, catalog, epoch_id) == pda.epoch(program, catalog, epoch_id)
    assert accounts.catalog_address(program, catalog) == pda.catalog(program, catalog)
    assert accounts.signer_set_address(program, set_id) == pda.signer_set(program, set_id)
    assert accounts.catalog_bytes(catalog) == catalog_bytes(catalog)
    ours = attestation.attestation_digest(bytes(program), catalog_bytes(catalog), epoch_id, b"\1" * 32, b"\2" * 32)
    assert ours == attestation_digest(bytes(program), catalog, epoch_id, b"\1" * 32, b"\2" * 32)


def test_flag_names_are_those_of_m0common():
    assert list(leaf.FLAG_NAMES) == flag_names(int(sum(FLAGS)))


def test_accounts_are_read_as_the_idl_describes_them():
    world = World()
    data = {address: body for address, (_, body) in world.accounts.items()}
    ours = accounts.decode_epoch(data[world.epoch_address])
    theirs = chain_accounts.epoch(data[world.epoch_address])
    assert (ours.epoch_id, ours.status, ours.threshold, ours.finalized_slot) == (
        theirs.epoch_id,
        theirs.status,
        theirs.threshold,
        theirs.finalized_slot,
    )
    tally = theirs.tallies[theirs.finalized_tally]
    assert ours.finalized is not None
    assert (ours.finalized.bundle_hash, ours.finalized.merkle_root) == (tally.bundle_hash, tally.merkle_root)
    assert ours.finalized.window_end_ms == theirs.window_end_ms
    signer_set = accounts.decode_signer_set(data[world.set_address])
    assert [bytes(key) for key in chain_accounts.signer_set(data[world.set_address]).keys] == list(signer_set.keys)
    ring = accounts.decode_catalog(data[world.catalog_address]).ring
    expected = chain_accounts.catalog(data[world.catalog_address]).finalized(world.epoch_id)
    assert expected is not None
    assert [r.bundle_hash for r in ring if r.epoch_id == world.epoch_id] == [expected.bundle_hash]


@pytest.mark.parametrize("decode", [accounts.decode_epoch, accounts.decode_catalog, accounts.decode_signer_set])
def test_an_account_cut_anywhere_is_refused_not_misread(decode):
    world = World()
    address = {
        accounts.decode_epoch: world.epoch_address,
        accounts.decode_catalog: world.catalog_address,
        accounts.decode_signer_set: world.set_address,
    }[decode]
    data = world.accounts[address][1]
    decode(data)
    needed = len(data) if decode is not accounts.decode_catalog else 74 + 10 * 85
    for length in range(0, needed, 7):
        with pytest.raises(DecodeError):
            decode(data[:length])
