"""This package computes what the golden vectors in tests/vectors say; they come from an implementation of their own."""

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from m0common.canonical import (
    BundleHeader,
    LaneConfig,
    LaneDigest,
    LaneModel,
    MerkleTree,
    MountainRange,
    PredictionLeaf,
    Trie,
    attestation_digest,
    certificate_message,
    commitment_hash,
    config_hash,
    control_message,
    event_id,
    input_root,
    leaf_hash,
    model_manifest_hash,
    node_hash,
    rebase_hash,
    root_from_path,
    set_hash,
    signer_set_digest,
    state_digest,
    state_root,
)
from m0common.ids import catalog_bytes, market_key
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
HEADER_FIELDS = (
    *("catalog", "epoch_id", "window_start_ms", "window_end_ms", "signer_set_id", "leaf_count", "merkle_root"),
    *("prev_bundle_hash", "model_manifest_hash", "config_hash", "input_root", "state_root"),
)


@pytest.mark.parametrize("name", list(GENERATE.FILES))
def test_committed_vectors_are_what_the_generator_writes(name):
    assert (VECTORS / f"{name}.json").read_text() == GENERATE.render(name)


@pytest.mark.parametrize("vector", load("leaves"), ids=lambda v: v["name"])
def test_a_leaf_reads_back_from_its_bytes(vector):
    leaf = PredictionLeaf.decode(bytes.fromhex(vector["encoded"]))
    assert leaf.market_key == market_key(vector["market_id"]) == bytes.fromhex(vector["market_key"])
    for name in ("model_key", "features_hash"):
        assert getattr(leaf, name).hex() == vector[name]
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
    assert catalog_bytes(header.catalog).hex() == vector["catalog_bytes"]
    for name in HEADER_FIELDS:
        value = getattr(header, name)
        assert (value.hex() if isinstance(value, bytes) else value) == vector[name], name


@pytest.mark.parametrize("vector", load("merkle"), ids=lambda v: f"{v['leaf_count']} leaves")
def test_every_path_of_a_tree_leads_to_its_root(vector):
    hashes = [bytes.fromhex(each) for each in vector["leaf_hashes"]]
    assert MerkleTree(hashes).root.hex() == vector["root"]
    for index, path in enumerate(vector["paths"]):
        assert [each.hex() for each in MerkleTree(hashes).path(index)] == path
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


def test_commitments_follow_from_their_parts():
    for vector in load("commitments"):
        parts = [bytes.fromhex(vector[n]) for n in ("program_id", "epoch_pda", "signer", "bundle_hash", "salt")]
        assert commitment_hash(*parts).hex() == vector["commitment"]


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
    inner = vectors["node_hash"]
    assert node_hash(bytes.fromhex(inner["left"]), bytes.fromhex(inner["right"])).hex() == inner["hash"]


@pytest.mark.parametrize("vector", load("trie")["state_digest"], ids=lambda v: v["name"])
def test_state_digests_follow_from_their_entities(vector):
    entities = [(bytes.fromhex(each["key"]), bytes.fromhex(each["value"])) for each in vector["entities"]]
    assert state_digest(entities).hex() == vector["digest"]
    assert state_digest(reversed(entities)).hex() == vector["digest"]


@pytest.mark.parametrize("vector", load("trie")["trie"], ids=lambda v: v["name"])
def test_tries_over_chosen_key_hashes_have_their_root(vector):
    trie = Trie()
    for each in vector["entities"]:
        key_hash, value_hash = bytes.fromhex(each["key_hash"]), bytes.fromhex(each["value_hash"])
        trie.put(key_hash, hashlib.sha256(b"\x00" + key_hash + value_hash).digest())
    assert trie.root.hex() == vector["root"]


@pytest.mark.parametrize("vector", load("events")["events"], ids=lambda v: v["name"])
def test_event_ids_follow_from_their_fields_and_are_what_the_sources_signed(vector):
    made = event_id(
        vector["source"],
        vector["source_event_id"],
        vector["group"],
        vector["market_id"],
        vector["kind"],
        vector["event_ms"],
        vector["source_seq"] or 0,
        vector["payload"].encode(),
    )
    assert made.hex() == vector["event_id"]
    message = control_message(bytes.fromhex(load("events")["genesis_hash"]), made)
    signature = Signature.from_bytes(bytes.fromhex(vector["signature"]))
    assert signature.verify(Pubkey(bytes.fromhex(vector["key"])), message)


def test_certificates_are_signed_by_the_key_they_follow():
    vectors = load("control")
    for each in vectors["certificates"]:
        old, new = bytes.fromhex(each["old"]), bytes.fromhex(each["new"])
        message = certificate_message(bytes.fromhex(vectors["genesis_hash"]), old, new)
        assert Signature.from_bytes(bytes.fromhex(each["signature"])).verify(Pubkey(old), message)


def test_hashes_of_sets_rebases_configs_and_manifests_follow_from_what_was_in_force():
    vectors = load("control")
    for each in vectors["payloads"]:
        assert set_hash(each["payload"].encode()).hex() == each["set_hash"]
        assert rebase_hash(each["payload"].encode()).hex() == each["rebase_hash"]
    for each in vectors["config_hash"]:
        configs = [LaneConfig(x["partition"], x["life"], bytes.fromhex(x["rebase_hash"])) for x in each["lanes"]]
        made = config_hash(bytes.fromhex(each["set_hash"]), bytes.fromhex(each["control_key"]), configs)
        assert made.hex() == each["hash"]
    for each in vectors["model_manifest_hash"]:
        models = [
            LaneModel(x["partition"], bytes.fromhex(x["release"]), bytes.fromhex(x["model_key"])) for x in each["lanes"]
        ]
        assert model_manifest_hash(models).hex() == each["hash"]
