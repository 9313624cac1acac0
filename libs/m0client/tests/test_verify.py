"""A proof is believed only when its bytes, its signatures and the chain agree; others fail at a named check."""

import copy
import json

import httpx2
import pytest
from m0client import (
    CHECKS,
    AsyncVerifier,
    RpcError,
    TransportError,
    VerificationError,
    Verifier,
    verify,
    verify_async,
)
from m0client.models import Proof
from m0client_world import RPC, World, h
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature


@pytest.fixture
def world():
    return World()


def check_of(world, proof, **options):
    """The name of the check that refuses `proof`."""
    with pytest.raises(VerificationError) as caught:
        verify(proof, RPC, transport=world.transport, **options)
    assert caught.value.check in CHECKS
    assert caught.value.reason
    return caught.value.check


@pytest.mark.parametrize("leaf_count", range(1, 18))
def test_every_leaf_of_every_small_bundle_verifies(leaf_count):
    for market in range(leaf_count):
        world = World(leaf_count=leaf_count, market=market)
        verified = verify(world.proof(), RPC, transport=world.transport)
        assert verified.merkle_root == world.tree.root.hex()
        assert verified.market_id == world.market_id
        assert verified.leaf.outcomes == tuple(tuple(o) for o in world.leaves[market].outcomes)


def test_a_verified_proof_says_what_was_read_where(world):
    verified = verify(json.dumps(world.proof()), RPC, oracle_program=str(world.program), transport=world.transport)
    assert (verified.source, verified.slot, verified.threshold) == ("epoch", 5678, 2)
    assert verified.signers == tuple(str(pair.pubkey()) for pair in world.pairs)
    assert verified.bundle_hash == world.header.bundle_hash.hex()
    addresses = world.requests[0]["params"][0]
    assert addresses == [str(world.set_address), str(world.epoch_address), str(world.catalog_address)]


async def test_the_asynchronous_verifier_makes_the_same_checks(world):
    verified = await verify_async(world.proof(), RPC, transport=world.transport)
    assert verified.merkle_root == world.tree.root.hex()
    with pytest.raises(VerificationError) as caught:
        await verify_async(world.proof(bundle_hash="00" * 32), RPC, transport=world.transport)
    assert caught.value.check == "bundle_hash"


def test_a_proof_is_taken_as_text_bytes_object_or_struct(world):
    proof = world.proof()
    struct = Proof(**json.loads(verified_json(world, proof)))
    for each in (proof, json.dumps(proof), json.dumps(proof).encode(), struct):
        assert verify(each, RPC, transport=world.transport).epoch_id == world.epoch_id


def verified_json(world, proof):
    from m0client.checks import read_proof

    return read_proof(proof).to_json()


def test_an_epoch_found_final_is_read_once_and_a_failure_is_never_remembered(world):
    with Verifier(RPC, transport=world.transport) as verifier:
        held, world.accounts = world.accounts, {}
        for _ in range(2):
            with pytest.raises(VerificationError):
                verifier.verify(world.proof())
        world.accounts = held
        verifier.verify(world.proof())
        verifier.verify(world.proof())
        assert len(world.requests) == 3


async def test_the_asynchronous_verifier_remembers_too(world):
    async with AsyncVerifier(RPC, transport=world.transport) as verifier:
        await verifier.verify(world.proof())
        await verifier.verify(world.proof())
    assert len(world.requests) == 1


# --- any byte changed -----------------------------------------------------------------------------------------------


def flips(raw: bytes):
    for at in range(len(raw)):
        for mask in (0x01, 0x80):
            yield raw[:at] + bytes([raw[at] ^ mask]) + raw[at + 1 :]


def test_every_byte_of_the_leaf_matters(world):
    with Verifier(RPC, transport=world.transport) as verifier:
        verifier.verify(world.proof())
        for changed in flips(world.leaves[world.index].encode()):
            with pytest.raises(VerificationError) as caught:
                verifier.verify(world.proof(leaf=changed.hex()))
            assert caught.value.check in {"leaf", "path"}


def test_every_byte_of_every_sibling_matters(world):
    siblings = [bytes.fromhex(s) for s in world.proof()["siblings"]]
    assert len(siblings) == 3
    with Verifier(RPC, transport=world.transport) as verifier:
        for i, sibling in enumerate(siblings):
            for changed in flips(sibling):
                bent = [*siblings[:i], changed, *siblings[i + 1 :]]
                with pytest.raises(VerificationError) as caught:
                    verifier.verify(world.proof(siblings=[s.hex() for s in bent]))
                assert caught.value.check == "path"


def test_every_byte_of_the_header_matters(world):
    with Verifier(RPC, transport=world.transport) as verifier:
        verifier.verify(world.proof())
        for changed in flips(world.header.encode()):
            with pytest.raises(VerificationError) as caught:
                verifier.verify(world.proof(header=changed.hex()))
            assert caught.value.check in {"header", "bundle_hash"}


def test_every_byte_of_every_attestation_matters(world):
    with Verifier(RPC, transport=world.transport) as verifier:
        verifier.verify(world.proof())
        for i, pair in enumerate(world.pairs):
            signature = bytes(pair.sign_message(world.signed))
            bent = [{"signature": str(Signature.from_bytes(s))} for s in flips(signature)]
            bent += [{"signer": str(Pubkey(key))} for key in flips(bytes(pair.pubkey()))]
            for change in bent:
                attestations = world.attestations()
                attestations[i] = attestations[i] | change
                with pytest.raises(VerificationError) as caught:
                    verifier.verify(world.proof(attestations=attestations))
                assert caught.value.check == "attestations"


def test_every_byte_of_the_two_hashes_matters(world):
    for changed in flips(world.tree.root):
        assert check_of(world, world.proof(merkle_root=changed.hex())) == "path"
    for changed in flips(world.header.bundle_hash):
        assert check_of(world, world.proof(bundle_hash=changed.hex())) == "bundle_hash"


def test_every_character_of_the_hex_fields_matters(world):
    proof = world.proof()
    for field in ("leaf", "header", "merkle_root", "bundle_hash"):
        for at in range(0, len(proof[field]), 7):
            for other in ("x", "", " ", "A"):
                bent = proof[field][:at] + other + proof[field][at + 1 :]
                if bent != proof[field]:
                    assert check_of(world, world.proof(**{field: bent})) == "schema"


# --- a proof whose parts do not belong together ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"schema": 2}, "schema"),
        ({"schema": "1"}, "schema"),
        ({"catalog": "Sports"}, "schema"),
        ({"catalog": "crypto"}, "header"),
        ({"market_id": "MARKET_99"}, "leaf"),
        ({"market_id": "market"}, "schema"),
        ({"market_id": "MARKET_1\n"}, "schema"),
        ({"epoch_id": 59_000_001}, "leaf"),
        ({"epoch_id": -1}, "schema"),
        ({"epoch_id": 2**64}, "schema"),
        ({"epoch_id": 1.5}, "schema"),
        ({"leaf": ""}, "schema"),
        ({"leaf": "00"}, "leaf"),
        ({"leaf_index": 1}, "path"),
        ({"leaf_index": 5}, "path"),
        ({"leaf_count": 6}, "header"),
        ({"leaf_count": 0}, "path"),
        ({"siblings": []}, "path"),
        ({"siblings": ["00" * 32] * 33}, "schema"),
        ({"siblings": ["00" * 31]}, "schema"),
        ({"header": "00" * 250}, "header"),
        ({"header": "00" * 249}, "header"),
        ({"attestations": []}, "attestations"),
        ({"attestations": [{"signer": "1" * 32, "signature": "1" * 64}]}, "attestations"),
        ({"attestations": [{"signer": "nobody", "signature": "1" * 64}]}, "schema"),
        ({"attestations": None}, "schema"),
        ({"chain": None}, "schema"),
    ],
)
def test_a_proof_bent_in_one_field_fails_at_the_check_that_owns_it(world, changed, check):
    assert check_of(world, world.proof(**changed)) == check


@pytest.mark.parametrize("field", list(World().proof()))
def test_a_proof_lacking_a_field_is_no_proof(world, field):
    proof = world.proof()
    del proof[field]
    assert check_of(world, proof) == "schema"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '"proof"', b"\xff", "[" * 100_000, '{"schema": NaN}'])
def test_what_is_no_proof_at_all_is_refused_by_name(world, text):
    assert check_of(world, text) == "schema"


def test_a_leaf_of_another_market_with_its_own_path_is_refused(world):
    other = World(market=3)
    assert check_of(world, other.proof(market_id=world.market_id)) == "leaf"


def test_a_path_cannot_be_read_for_a_tree_of_another_size(world):
    for leaf_count in range(1, 20):
        for leaf_index in range(leaf_count):
            if (leaf_index, leaf_count) != (world.index, 5):
                check = check_of(world, world.proof(leaf_count=leaf_count, leaf_index=leaf_index))
                assert check in {"path", "header"}


def test_a_fresh_field_of_a_later_version_is_ignored(world):
    verify(world.proof(extension={"anything": 1}), RPC, transport=world.transport)


# --- attestations ---------------------------------------------------------------------------------------------------


def test_as_many_attestations_as_the_threshold_suffice_and_one_fewer_does_not(world):
    verify(world.proof(attestations=world.attestations(2)), RPC, transport=world.transport)
    assert check_of(world, world.proof(attestations=world.attestations(1))) == "attestations"


def test_one_signer_does_not_count_twice(world):
    assert check_of(world, world.proof(attestations=world.attestations(1) * 2)) == "attestations"
    assert check_of(world, world.proof(attestations=world.attestations() + world.attestations(1))) == "attestations"


def test_a_stranger_among_the_signers_spoils_the_proof(world):
    stranger = Keypair.from_seed(h("stranger"))
    forged = {"signer": str(stranger.pubkey()), "signature": str(stranger.sign_message(world.signed))}
    assert check_of(world, world.proof(attestations=[*world.attestations(), forged])) == "attestations"


def test_a_signature_of_another_member_is_not_ones_own(world):
    attestations = world.attestations()
    attestations[0]["signature"] = attestations[1]["signature"]
    assert check_of(world, world.proof(attestations=attestations)) == "attestations"


@pytest.mark.parametrize(
    "changed",
    [
        {"threshold": 1},
        {"id": 2},
        {"digest": bytes(32)},
        {"count": 2},
        {"keys": [Pubkey(bytes([i]) * 32) for i in range(1, 4)]},
    ],
)
def test_a_signer_set_that_contradicts_its_digest_is_refused(world, changed):
    world.accounts[world.set_address] = (world.program, world.signer_set(**changed))
    assert check_of(world, world.proof()) == "attestations"


def test_a_signer_set_must_be_on_chain_and_owned_by_the_program(world):
    data = world.accounts[world.set_address][1]
    world.accounts[world.set_address] = (Pubkey(h("someone else")), data)
    assert check_of(world, world.proof()) == "attestations"
    world.accounts[world.set_address] = (world.program, data[: len(data) // 2])
    assert check_of(world, world.proof()) == "attestations"
    world.accounts[world.set_address] = (world.program, world.accounts[world.epoch_address][1])
    assert check_of(world, world.proof()) == "attestations"
    del world.accounts[world.set_address]
    assert check_of(world, world.proof()) == "attestations"


def test_a_retired_set_still_proves_what_it_attested(world):
    world.accounts[world.set_address] = (world.program, world.signer_set(retired=True))
    verify(world.proof(), RPC, transport=world.transport)


# --- chain ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 2, 4, 9])
def test_an_epoch_that_is_not_finalized_proves_nothing(world, status):
    world.accounts[world.epoch_address] = (world.program, world.epoch(status=status))
    assert check_of(world, world.proof()) == "chain"


@pytest.mark.parametrize(
    "changed",
    [
        {"finalized_tally": 0},
        {"finalized_tally": 2},
        {"finalized_tally": 255},
        {"epoch_id": 1},
        {"catalog": b"crypto".ljust(16, b"\0")},
        {"signer_set_id": 2},
        {"window_end_ms": 1},
        {"version": 2},
    ],
)
def test_an_epoch_account_that_says_something_else_is_refused(world, changed):
    world.accounts[world.epoch_address] = (world.program, world.epoch(**changed))
    assert check_of(world, world.proof()) == "chain"


@pytest.mark.parametrize("changed", [{"bundle_hash": h("x")}, {"merkle_root": h("x")}, {"leaf_count": 6}, {"mask": 1}])
def test_the_finalized_tally_must_hold_this_bundle_with_enough_signers(world, changed):
    tallies = [world.tally(mask=0), world.tally(**changed)]
    world.accounts[world.epoch_address] = (world.program, world.epoch(tallies=tallies))
    assert check_of(world, world.proof()) == "chain"


def test_an_epoch_account_of_another_owner_or_kind_is_refused(world):
    data = world.accounts[world.epoch_address][1]
    for owner, body in (
        (Pubkey(h("someone else")), data),
        (world.program, data[:40]),
        (world.program, b""),
        (world.program, world.accounts[world.set_address][1]),
    ):
        world.accounts[world.epoch_address] = (owner, body)
        assert check_of(world, world.proof()) == "chain"


def test_space_behind_an_account_is_ignored(world):
    for address, (owner, data) in list(world.accounts.items()):
        world.accounts[address] = (owner, data + bytes(500))
    verify(world.proof(), RPC, transport=world.transport)


def test_a_proof_that_names_another_epoch_account_is_refused(world):
    proof = world.proof()
    proof["chain"]["epoch_account"] = str(world.catalog_address)
    assert check_of(world, proof) == "chain"


@pytest.mark.parametrize("written", [5, 10, 64, 66])
def test_once_the_epoch_account_is_closed_the_ring_of_the_catalog_speaks(world, written):
    world.close_epoch()
    first = world.epoch_id - written + 1
    world.accounts[world.catalog_address] = (world.program, world.catalog_account(first, written))
    assert verify(world.proof(), RPC, transport=world.transport).source == "ring"


def test_lamports_sent_to_a_closed_epoch_do_not_bring_it_back(world):
    world.accounts[world.epoch_address] = (Pubkey.default(), b"")
    assert verify(world.proof(), RPC, transport=world.transport).source == "ring"


def test_an_epoch_that_fell_out_of_the_ring_is_refused(world):
    world.close_epoch()
    world.accounts[world.catalog_address] = (world.program, world.catalog_account(world.epoch_id + 1, 64))
    assert check_of(world, world.proof()) == "chain"


def test_places_of_the_ring_that_were_never_written_are_not_read(world):
    early = World(epoch_id=0)
    early.close_epoch()
    early.accounts[early.catalog_address] = (early.program, early.catalog_account(first=1, written=3))
    assert check_of(early, early.proof()) == "chain"


def test_a_ring_of_another_owner_or_catalog_is_refused(world):
    world.close_epoch()
    good = world.accounts[world.catalog_address][1]
    other = world.catalog_account(catalog=b"crypto".ljust(16, b"\0"))
    for owner, data in ((Pubkey(h("x")), good), (world.program, other), (world.program, good[:100])):
        world.accounts[world.catalog_address] = (owner, data)
        assert check_of(world, world.proof()) == "chain"
    del world.accounts[world.catalog_address]
    assert check_of(world, world.proof()) == "chain"


def test_a_chain_that_knows_nothing_of_the_proof_refuses_it(world):
    world.accounts.clear()
    assert check_of(world, world.proof()) == "attestations"


def test_an_impostor_program_with_perfect_accounts_is_refused_when_the_program_is_known(world):
    verify(world.proof(), RPC, transport=world.transport)
    assert check_of(world, world.proof(), oracle_program=str(Pubkey(h("the real one")))) == "schema"


def test_a_proof_of_a_commitment_below_finalized_is_refused(world):
    proof = copy.deepcopy(world.proof())
    proof["chain"]["commitment"] = "confirmed"
    assert check_of(world, proof) == "schema"


# --- a node that does not answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "response",
    [
        httpx2.Response(200, json={"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": "behind"}}),
        httpx2.Response(429, text="slow down"),
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, content=b'{"result":{"context":{"slot":1},"value":[{"owner":"\xff"}]}}'),
        httpx2.Response(200, content=b'{"id":' + b"[" * 100_000),
        httpx2.Response(200, json={}),
        httpx2.Response(200, json={"result": {"context": {"slot": 1}, "value": [None]}}),
        httpx2.Response(200, json={"result": {"context": {"slot": 1}, "value": [None, None, {"data": "x"}]}}),
        httpx2.Response(
            200,
            json={"result": {"context": {"slot": 1}, "value": [None, None, {"data": ["!", "base64"], "owner": "x"}]}},
        ),
    ],
)
def test_a_node_that_refuses_is_an_rpc_error_not_a_verdict(world, response):
    with pytest.raises(RpcError):
        verify(world.proof(), RPC, transport=httpx2.MockTransport(lambda _: response))


def test_a_node_that_cannot_be_reached_is_a_transport_error_that_names_it(world):
    def refuse(request):
        raise httpx2.ConnectError("refused", request=request)

    with pytest.raises(TransportError, match=r"node\.test"):
        verify(world.proof(), RPC, transport=httpx2.MockTransport(refuse))
    with pytest.raises(TransportError):
        verify(world.proof(), "nonsense", transport=None)
