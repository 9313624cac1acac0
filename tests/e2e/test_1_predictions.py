"""What a newcomer sees: markets, finalized epochs of both catalogs, proofs that verify, an epoch that replays."""

import json
import urllib.error
import urllib.request

import pytest
from e2e_failures import failures, processes
from e2e_stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
CATALOGS = ("crypto", "sports")


def test_the_api_is_up_and_lists_markets_of_both_catalogs(stack: Stack):
    assert stack.get("/health")["status"] == "ok"
    stack.wait(
        "markets of both catalogs", lambda: {m["catalog"] for m in stack.get("/markets")["items"]} >= set(CATALOGS), 60
    )


@pytest.mark.parametrize("catalog", CATALOGS)
def test_within_150_seconds_an_epoch_is_final_with_two_signers_revealed(stack: Stack, catalog: str):
    (epoch, *_) = stack.wait(f"a finalized epoch of {catalog}", lambda: stack.finalized(catalog), 150)
    assert sum(s["revealed"] for s in epoch["signers"]) >= 2
    assert epoch["leaf_count"] >= 1
    assert len(epoch["merkle_root"]) == len(epoch["bundle_hash"]) == 64


@pytest.mark.parametrize("catalog", CATALOGS)
def test_a_prediction_verifies_with_nothing_but_the_proof_and_an_rpc_address(stack: Stack, catalog: str, tmp_path):
    stack.wait(f"a finalized epoch of {catalog}", lambda: stack.finalized(catalog), 150)
    market = next(
        m["market_id"]
        for m in stack.get(f"/v1/markets?catalog={catalog}&limit=200")["items"]
        if has_proof(stack, m["market_id"])
    )
    assert stack.get(f"/v1/predictions/{market}/latest?status=finalized")["status"] == "finalized"
    proof = stack.get(f"/v1/predictions/{market}/proof")
    # another epoch may become final between the two
    epoch = str(proof["epoch_id"])
    done = stack.m0("verify", market, "--epoch", epoch, "--api", stack.api, "--rpc", stack.rpc)
    assert proof["merkle_root"] in done.stdout
    for field, check in (("leaf", "leaf"), ("header", "header")):
        bent = dict(proof, **{field: proof[field][:-2] + ("00" if proof[field][-2:] != "00" else "01")})
        path = tmp_path / "proof.json"
        path.write_text(json.dumps(bent))
        refused = stack.m0("verify", market, "--file", str(path), "--rpc", stack.rpc, check=False)
        assert refused.returncode == 1, refused.stdout
        assert any(word in refused.stdout + refused.stderr for word in (check, "path", "bundle_hash"))


def has_proof(stack: Stack, market_id: str) -> bool:
    try:
        stack.get(f"/v1/predictions/{market_id}/proof")
    except urllib.error.HTTPError:
        return False
    return True


@pytest.mark.parametrize("catalog", CATALOGS)
def test_a_finalized_epoch_replays_from_the_checkpoint_and_from_the_beginning(stack: Stack, catalog: str):
    stack.wait("two finalized epochs", lambda: len(stack.finalized(catalog)) >= 2, 90)
    epoch = stack.finalized(catalog)[0]
    for options in ([], ["--full"]):
        done = stack.m0("replay", catalog, str(epoch["epoch_id"]), "--json", *options)
        verdict = json.loads(done.stdout)
        assert verdict["match"]
        assert verdict["merkle_root"] == epoch["merkle_root"]
        assert ("beginning" in verdict["started_from"]) == bool(options)


@pytest.mark.parametrize("mutation", ["change", "drop", "add", "swap"])
def test_replay_of_a_damaged_log_names_the_first_difference(stack: Stack, mutation: str):
    def replayed():
        for epoch in stack.finalized("crypto")[:4]:
            options = ("--mutate", mutation, "--index", "2")
            done = stack.m0("replay", "crypto", str(epoch["epoch_id"]), *options, check=False)
            if "applied no observation" not in done.stderr:  # an epoch may be without any
                return done
        return None

    done = stack.wait("an epoch with events", replayed, 120)
    assert done.returncode == 1
    assert "DIFFERS" in done.stdout
    assert "lane crypto/" in done.stdout


def test_in_ordinary_work_no_counter_of_failures_moves_in_any_process(stack: Stack):
    if not stack.is_new:
        pytest.skip("the stack was off before: the epochs that it missed meanwhile are counted")
    stack.all_ready()
    assert {name.split("-")[0] for name in processes(stack)} >= {"ingest", "model", "signer", "indexer", "jobs", "api"}
    assert failures(stack) == {}


def test_a_second_up_says_that_it_is_running_and_changes_nothing(stack: Stack):
    before = {name: s["pid"] for name, s in stack.status().items()}
    stack.m0("up")
    assert {name: s["pid"] for name, s in stack.status().items()} == before


def test_after_down_and_up_old_epochs_still_replay_and_new_ones_finalize(stack: Stack):
    old = stack.finalized("sports")[0]
    stack.m0("down")
    assert {s["state"] for s in stack.status().values()} <= {"stopped", "external"}
    stack.m0("up")
    done = stack.m0("replay", "sports", str(old["epoch_id"]), "--json")
    assert json.loads(done.stdout)["merkle_root"] == old["merkle_root"]
    stack.wait("a new epoch after the restart", lambda: stack.finalized("sports")[0]["epoch_id"] > old["epoch_id"], 120)
