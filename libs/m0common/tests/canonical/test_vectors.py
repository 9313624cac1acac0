"""The golden vectors in tests/vectors say what this package computes, and are read back from their bytes."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from m0common.canonical import (
    BundleHeader,
    LaneDigest,
    MerkleTree,
    MountainRange,
    PredictionLeaf,
    attestation_digest,
    input_root,
    leaf_hash,
    root_from_path,
    signer_set_digest,
    state_root,
)
from solders.pubkey import Pubkey
from solders.signature import Signature

VECTORS = Path(__file__).parents[4] / "tests" / "vectors"


def load(name: str):
    return json.loads((VECTORS / f"{name}.json").read_text())


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_vectors", VECTORS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generator()


@pytest.mark.parametrize("name", list(GENERATE.FILES))
def test_committed_vectors_are_what_the_generator_writes(name):
    assert (VECTORS / f"{name}.json").read_text() == GENERATE.render(name)


@pytest.mark.parametrize("vector", load("leaves"), ids=lambda v: v["name"])
def test_a_leaf_reads_back_from_its_bytes(vector):
    leaf = PredictionLeaf.decode(bytes.fromhex(vector["encoded"]))
    assert [list(o) for o in leaf.outcomes] == vector["outcomes"]
    for field in ("epoch_id", "window_end_ms", "schema_version", "risk_bps", "quality_flags"):
        assert getattr(leaf, field) == vector[field]
    assert leaf.encode().hex() == vector["encoded"]
    assert leaf_hash(leaf.encode()).hex() == vector["leaf_hash"]


@pytest.mark.parametrize("vector", load("headers"), ids=lambda v: v["name"])
def test_a_header_reads_back_from_its_250_bytes(vector):
    encoded = bytes.fromhex(vector["encoded"])
    header = BundleHeader.decode(encoded)
    assert len(encoded) == 250
    assert header.encode() == encoded
    assert header.bundle_hash.hex() == vector["bundle_hash"]
    assert (header.catalog, header.epoch_id, header.leaf_count) == (
        vector["catalog"],
        vector["epoch_id"],
        vector["leaf_count"],
    )


@pytest.mark.parametrize("vector", load("merkle"), ids=lambda v: f"{v['leaf_count']} leaves")
def test_every_path_of_a_tree_leads_to_its_root(vector):
    hashes = [bytes.fromhex(each) for each in vector["leaf_hashes"]]
    assert MerkleTree(hashes).root.hex() == vector["root"]
    for index, path in enumerate(vector["paths"]):
        siblings = [bytes.fromhex(each) for each in path]
        assert root_from_path(hashes[index], index, len(hashes), siblings).hex() == vector["root"]


def test_attestations_are_valid_signatures_over_their_digest():
    for vector in load("attestations"):
        parts = {k: bytes.fromhex(vector[k]) for k in ("program_id", "bundle_hash", "signer_set_digest")}
        digest = attestation_digest(
            parts["program_id"],
            vector["catalog"],
            vector["epoch_id"],
            parts["bundle_hash"],
            parts["signer_set_digest"],
        )
        assert digest.hex() == vector["digest"]
        signature = Signature.from_bytes(bytes.fromhex(vector["signature"]))
        assert signature.verify(Pubkey(bytes.fromhex(vector["signer"])), digest)


def test_signer_set_digests_do_not_depend_on_the_order_keys_come_in():
    for vector in load("signer_sets"):
        keys = [bytes.fromhex(key) for key in vector["keys"]]
        assert signer_set_digest(vector["id"], vector["threshold"], keys[::-1]).hex() == vector["digest"]


def test_mountain_range_peaks_follow_the_bits_of_the_count():
    mountain = MountainRange()
    for vector in load("mountains"):
        mountain.append(bytes.fromhex(vector["append"]))
        assert mountain.count == vector["count"]
        for height, peak in enumerate(vector["peaks"]):
            assert (peak is not None) == bool(mountain.count >> height & 1)
            assert peak is None or mountain.peaks[height].hex() == peak


def test_roots_follow_from_their_digests():
    vectors = load("roots")
    digest = LaneDigest()
    for fold in vectors["lane_digest"]:
        digest.add(bytes.fromhex(fold["event_id"]))
        assert digest.value.hex() == fold["digest"]
    for each in vectors["input_root"]:
        assert input_root({x["partition"]: bytes.fromhex(x["digest"]) for x in each["lanes"]}).hex() == each["root"]
    for each in vectors["state_root"]:
        lanes = {(x["partition"], x["stage"]): bytes.fromhex(x["digest"]) for x in each["lanes"]}
        assert state_root(lanes).hex() == each["root"]
