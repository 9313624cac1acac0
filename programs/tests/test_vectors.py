"""The golden vectors that Python's tests read, read by the programs."""

import json
import struct
from pathlib import Path

import pytest
from m0common.canonical import commitment_hash
from m0svm.oracle import FIRST_EPOCH, Oracle
from m0svm.settable import Settable
from solders.pubkey import Pubkey

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "vectors"
EPOCH_MS = 30_000


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def settable():
    return Settable()


@pytest.mark.parametrize("vector", vectors("signer_sets"), ids=lambda v: f"set-{v['id']}")
def test_signer_set_digests(vector):
    oracle = Oracle()
    oracle.initialize().ok()
    keys = [Pubkey(bytes.fromhex(k)) for k in vector["keys"]]
    oracle.create_signer_set(vector["id"], vector["threshold"], keys).ok()
    stored = oracle.chain.account("SignerSet", oracle.set_at(vector["id"]))
    assert stored["digest"].hex() == vector["digest"]


@pytest.mark.parametrize("vector", vectors("leaves"), ids=lambda v: v["name"])
def test_leaf_hashes(settable, vector):
    root = bytes.fromhex(vector["leaf_hash"])
    settable.finalize(root, 1, vector["epoch_id"], vector["window_end_ms"])
    call = settable.oracle.call(
        "verify_prediction",
        {},
        epoch_id=vector["epoch_id"],
        leaf_index=0,
        max_age_ms=0,
        min_signers=0,
        leaf=bytes.fromhex(vector["encoded"]),
        siblings=[],
    )
    assert call.ok().returned.ljust(72, b"\0") == root + struct.pack("<q", vector["window_end_ms"]) + root


@pytest.mark.parametrize("vector", vectors("headers"), ids=lambda v: v["name"])
def test_bundle_hashes(vector):
    """A header is revealed and tallied under its hash, where its window is one that an epoch can have."""
    start = vector["epoch_id"] * EPOCH_MS
    possible = (vector["window_start_ms"], vector["window_end_ms"]) == (start, start + EPOCH_MS)
    name, epoch_id, set_id = bytes.fromhex(vector["catalog_bytes"]), vector["epoch_id"], vector["signer_set_id"]
    header, bundle_hash = bytes.fromhex(vector["encoded"]), bytes.fromhex(vector["bundle_hash"])
    oracle = Oracle()
    oracle.initialize().ok()
    oracle.create_signer_set(set_id).ok()
    oracle.create_catalog(name, set_id).ok()
    if not possible:
        epoch_id = FIRST_EPOCH
    oracle.chain.at((epoch_id + 1) * EPOCH_MS)
    oracle.open(epoch_id, name, set_id).ok()
    accounts = {"epoch": oracle.epoch_at(epoch_id, name), "signer_set": oracle.set_at(set_id)}
    args = {"header": header, "salt": bytes(32), "attestation": bytes(64)}
    for who in range(3):
        where = bytes(accounts["epoch"])
        value = commitment_hash(bytes(oracle.program), where, bytes(oracle.keys[who]), bundle_hash, bytes(32))
        oracle.call("commit", {**accounts, "signer": oracle.signers[who]}, commitment=value).ok()
    reveal = oracle.call("reveal", {**accounts, "signer": oracle.signers[0]}, **args)
    if not possible:
        reveal.fails("HeaderMismatch")
        return
    assert reveal.ok().event("Revealed")["bundle_hash"] == bundle_hash
    epoch = oracle.chain.account("Epoch", accounts["epoch"])
    assert [t["merkle_root"].hex() for t in epoch["tallies"]] == [vector["merkle_root"]]
