"""Predictions, proofs, bundles and what a stranger does with them."""

import hashlib
import struct

import pytest
from m0chain import pda
from m0common.canonical import (
    BundleHeader,
    PredictionLeaf,
    attestation_digest,
    leaf_hash,
    root_from_path,
    signer_set_digest,
)
from m0common.stream.door import PROVISIONAL_GRACE_MS
from solders.pubkey import Pubkey
from solders.signature import Signature

from .conftest import MARKETS, NOW_EPOCH

pytestmark = pytest.mark.postgres


async def test_the_latest_prediction_is_the_newest_final_one_while_nothing_provisional_is_open(client):
    item = (await client.get("/v1/predictions/EPL_005/latest")).json()
    assert (item["epoch_id"], item["status"], item["catalog"]) == (106, "finalized", "sports")
    assert item["outcomes"][0] == {
        "name": "home",
        "p": 0.500000001,
        "lo": 0.499999001,
        "hi": 0.500001001,
        "p_ppb": 500_000_001,
        "lo_ppb": 499_999_001,
        "hi_ppb": 500_001_001,
    }
    assert sum(o["p_ppb"] for o in item["outcomes"]) == 1_000_000_000
    assert item["quality_flags"] == ["stale", "divergence"]
    assert (item["risk_bps"], item["model"], item["window_end_ms"]) == (1234, "elo_dc", 107 * 20_000)
    assert len(item["model_key"]) == len(item["features_hash"]) == 64


@pytest.mark.parametrize("market", ["EPL_002", "FRESH"])
async def test_a_provisional_prediction_is_shown_while_its_epoch_is_open(client, market):
    for params in ({}, {"status": "provisional"}):
        answer = await client.get(f"/v1/predictions/{market}/latest", params=params)
        item = answer.json()
        assert (item["epoch_id"], item["status"], item["model"]) == (111, "provisional", "live")
        assert (item["features_hash"], item["bundle_hash"]) == (None, None)
        assert [(o["name"], o["p_ppb"], o["lo_ppb"], o["hi_ppb"]) for o in item["outcomes"]] == [
            ("home", 600_000_000, 5, 700_000_000), ("draw", 400_000_000, 4, 500_000_000), ("away", 0, 0, 6),
        ]  # fmt: skip
        assert (item["risk_bps"], item["quality_flags"], item["window_end_ms"]) == (77, ["stale"], 112 * 20_000)
        assert (item["model_key"], answer.headers["cache-control"]) == ((b"k" * 32).hex(), "no-store")


async def test_a_final_prediction_can_be_asked_for_while_a_provisional_one_is_open(client):
    item = (await client.get("/v1/predictions/EPL_002/latest", params={"status": "finalized"})).json()
    assert (item["epoch_id"], item["status"]) == (106, "finalized")
    answer = await client.get("/v1/predictions/FRESH/latest", params={"status": "finalized"})
    assert (answer.status_code, answer.json()["code"]) == (404, "prediction_not_found")


@pytest.mark.parametrize("market", ["EPL_003", "EPL_004", "EPL_000"])
async def test_a_provisional_prediction_of_an_epoch_that_is_over_or_a_closed_market_is_not_shown(client, market):
    item = (await client.get(f"/v1/predictions/{market}/latest")).json()
    assert (item["epoch_id"], item["status"]) == (106, "finalized")
    answer = await client.get(f"/v1/predictions/{market}/latest", params={"status": "provisional"})
    assert (answer.status_code, answer.json()["code"]) == (404, "prediction_not_found")


async def test_a_bundle_that_the_chain_has_not_decided_is_never_shown(client):
    for market in MARKETS:
        item = (await client.get(f"/v1/predictions/{market}/latest")).json()
        assert item["epoch_id"] in {106, NOW_EPOCH}
        items = (await client.get(f"/v1/predictions/{market}/history")).json()["items"]
        assert max(each["epoch_id"] for each in items) == 106


async def test_an_open_epoch_passes_with_the_clock_and_no_kept_answer_outlives_it(client, clock):
    path = "/v1/predictions/EPL_002/latest"
    assert (await client.get(path)).json()["status"] == "provisional"
    clock.advance(20_000 + PROVISIONAL_GRACE_MS)
    assert (await client.get(path)).json()["status"] == "finalized"


async def test_a_blocked_market_has_no_outcomes_and_says_why(client):
    item = (await client.get("/v1/predictions/EPL_001/latest")).json()
    assert item["outcomes"] == []
    assert item["quality_flags"] == ["stale", "blocked"]


async def test_the_history_holds_every_final_prediction_newest_first(client):
    first = (await client.get("/v1/predictions/EPL_002/history", params={"limit": 4})).json()
    rest = (
        await client.get("/v1/predictions/EPL_002/history", params={"limit": 4, "cursor": first["next_cursor"]})
    ).json()
    assert [i["epoch_id"] for i in first["items"] + rest["items"]] == [106, 105, 104, 103, 102, 101, 100]
    assert rest["next_cursor"] is None
    empty = (await client.get("/v1/predictions/FRESH/history")).json()
    assert empty == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("what", ["latest", "history", "proof"])
async def test_an_unknown_market_is_named_as_such(client, what):
    answer = await client.get(f"/v1/predictions/NOBODY/{what}")
    assert (answer.status_code, answer.json()["code"]) == (404, "market_not_found")


@pytest.mark.parametrize("market", [f"EPL_{i:03}" for i in range(9)])
async def test_a_proof_leads_from_the_leaf_to_what_the_signers_signed(client, world, market):
    info = (await client.get("/v1/info")).json()
    proof = (await client.get(f"/v1/predictions/{market}/proof", params={"epoch_id": 103})).json()
    assert list(proof) == [
        "schema", "catalog", "epoch_id", "market_id", "leaf", "leaf_index", "leaf_count", "siblings", "merkle_root",
        "header", "bundle_hash", "attestations", "chain",
    ]  # fmt: skip
    leaf = PredictionLeaf.decode(bytes.fromhex(proof["leaf"]))
    assert leaf.market_key == hashlib.sha256(market.encode()).digest()
    siblings = [bytes.fromhex(s) for s in proof["siblings"]]
    root = root_from_path(leaf_hash(leaf.encode()), proof["leaf_index"], proof["leaf_count"], siblings)
    header = BundleHeader.decode(bytes.fromhex(proof["header"]))
    assert root == header.merkle_root == bytes.fromhex(proof["merkle_root"])
    assert header.bundle_hash == bytes.fromhex(proof["bundle_hash"])
    oracle = Pubkey.from_string(info["programs"]["oracle"])
    (chosen,) = info["signer_sets"]
    keys = [bytes(Pubkey.from_string(k)) for k in chosen["signers"]]
    set_digest = signer_set_digest(chosen["id"], chosen["threshold"], keys)
    signed = attestation_digest(bytes(oracle), "sports", 103, header.bundle_hash, set_digest)
    assert len(proof["attestations"]) == 2
    for attestation in proof["attestations"]:
        assert attestation["signer"] in chosen["signers"]
        assert Signature.from_string(attestation["signature"]).verify(Pubkey.from_string(attestation["signer"]), signed)
    chain = proof["chain"]
    assert chain["epoch_account"] == str(pda.epoch(oracle, "sports", 103))
    assert (chain["cluster"], chain["commitment"]) == ("localnet", "finalized")
    assert chain["oracle_program"] == str(oracle)
    epoch = (await client.get("/v1/epochs/sports/103")).json()
    assert (chain["finalize_signature"], chain["slot"]) == (epoch["finalize_signature"], epoch["finalized_slot"])


async def test_without_an_epoch_the_proof_is_of_the_newest_final_one(client):
    proof = (await client.get("/v1/predictions/EPL_002/proof")).json()
    assert proof["epoch_id"] == 106


@pytest.mark.parametrize(
    ("epoch_id", "status"), [(107, "revealing"), (108, "revealing"), (109, "expired"), (110, "open")]
)
async def test_an_epoch_that_is_not_final_has_no_proof_and_the_problem_says_why(client, epoch_id, status):
    answer = await client.get("/v1/predictions/EPL_002/proof", params={"epoch_id": epoch_id})
    assert (answer.status_code, answer.json()["code"]) == (409, "epoch_not_final")
    assert status in answer.json()["detail"]


async def test_a_proof_that_cannot_be_given_yet_says_what_is_missing(client):
    answer = await client.get("/v1/predictions/BTC_UP/proof", params={"epoch_id": 50})
    assert (answer.status_code, answer.json()["code"]) == (503, "bundle_not_stored")
    for params in ({}, {"epoch_id": 51}):
        answer = await client.get("/v1/predictions/BTC_UP/proof", params=params)
        assert (answer.status_code, answer.json()["code"]) == (404, "prediction_not_found")


async def test_a_bundle_is_served_as_fields_and_as_the_bytes_that_were_hashed(client, world):
    bundle = world.bundles[104]
    name = hashlib.sha256(bundle.header).hexdigest()
    (lane,) = bundle.message.lanes
    item = (await client.get(f"/v1/bundles/{name}")).json()
    assert item["header"] == bundle.header.hex()
    assert item["market_ids"] == list(bundle.market_ids)
    assert item["input_digests"] == [{"partition": 0, "digest": lane.input_digest.hex()}]
    assert item["state_digests"] == [
        {"partition": 0, "stage": stage, "digest": digest.hex()} for stage, digest in enumerate(lane.stage_digests, 1)
    ]
    header = await client.get(f"/v1/bundles/{name}/header")
    assert (header.content, header.headers["content-type"]) == (bundle.header, "application/octet-stream")
    leaves = (await client.get(f"/v1/bundles/{name}/leaves")).content
    parts, at = [], 4
    for _ in range(struct.unpack_from("<I", leaves)[0]):
        (size,) = struct.unpack_from("<I", leaves, at)
        parts.append(leaves[at + 4 : at + 4 + size])
        at += 4 + size
    assert (tuple(parts), at) == (bundle.leaves, len(leaves))


@pytest.mark.parametrize("suffix", ["", "/header", "/leaves"])
async def test_a_bundle_that_is_not_stored_is_not_found(client, suffix):
    answer = await client.get(f"/v1/bundles/{'0' * 64}{suffix}")
    assert (answer.status_code, answer.json()["code"]) == (404, "bundle_not_found")


@pytest.mark.parametrize("epoch_id", [107, 108, 109, 110])
@pytest.mark.parametrize("suffix", ["", "/header", "/leaves"])
async def test_a_bundle_that_is_not_final_is_not_found_by_its_hash(client, world, epoch_id, suffix):
    name = hashlib.sha256(world.bundles[epoch_id].header).hexdigest()
    answer = await client.get(f"/v1/bundles/{name}{suffix}")
    assert (answer.status_code, answer.json()["code"]) == (404, "bundle_not_found")
