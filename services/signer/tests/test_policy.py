import msgspec
import pytest
from m0_signer.compare import first_difference
from m0_signer.policy import Refusal, check_bundle, check_chain
from m0common.canonical import BundleHeader, PredictionLeaf
from signer_log import BASE_MS, EPOCH_MS, FIRST_EPOCH, Live
from signer_vm import Vm

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def bundle():
    return Live(3).bundles[-1]


@pytest.fixture(scope="module")
def vm():
    return Vm(BASE_MS + EPOCH_MS)


def test_a_bundle_of_the_lanes_holds(bundle):
    header = check_bundle(bundle)
    assert isinstance(header, BundleHeader)
    assert header.leaf_count == 3


def change_leaf(bundle, **fields):
    import dataclasses

    leaf = dataclasses.replace(PredictionLeaf.decode(bundle.leaves[0]), **fields)
    return replace(bundle, leaves=(leaf.encode(), *bundle.leaves[1:]))


def change_header(bundle, **fields):
    import dataclasses

    return replace(bundle, header=dataclasses.replace(BundleHeader.decode(bundle.header), **fields).encode())


@pytest.mark.parametrize(
    ("rule", "damage"),
    [
        ("malformed", lambda b: replace(b, header=b.header[:-1])),
        ("malformed", lambda b: replace(b, catalog="sports")),
        ("malformed", lambda b: replace(b, epoch_id=b.epoch_id + 1)),
        ("malformed", lambda b: replace(b, leaves=(b.leaves[0][:-1], *b.leaves[1:]))),
        ("malformed", lambda b: replace(b, market_ids=b.market_ids[1:])),
        ("malformed", lambda b: replace(b, market_ids=("not an id", *b.market_ids[1:]))),
        ("leaf_count", lambda b: replace(b, leaves=b.leaves[1:])),
        ("leaf_count", lambda b: replace(b, leaves=())),
        ("leaf_window", lambda b: change_leaf(b, epoch_id=b.epoch_id - 1)),
        ("leaf_window", lambda b: change_leaf(b, window_end_ms=5)),
        ("market_key", lambda b: replace(b, market_ids=b.market_ids[::-1])),
        ("leaf_order", lambda b: replace(b, leaves=b.leaves[::-1], market_ids=b.market_ids[::-1])),
        ("merkle_root", lambda b: change_leaf(b, risk_bps=1)),
        ("merkle_root", lambda b: change_header(b, merkle_root=bytes(32))),
        ("input_root", lambda b: change_header(b, input_root=bytes(32))),
        ("state_root", lambda b: replace(b, state_digests=b.state_digests[1:])),
    ],
)
def test_any_damage_to_a_bundle_is_refused_by_its_rule(bundle, rule, damage):
    refusal = check_bundle(damage(bundle))
    assert isinstance(refusal, Refusal)
    assert refusal.rule == rule


async def test_the_chain_decides_window_set_membership_and_order(bundle, vm):
    header, catalog = BundleHeader.decode(bundle.header), vm.catalog("crypto")
    members = await vm.port(0).signer_set(1)
    me = vm.keys[0].pubkey()
    assert check_chain(header, catalog, members, me) is None
    import dataclasses

    moved = dataclasses.replace(header, window_start_ms=header.window_start_ms + 1)
    assert check_chain(moved, catalog, members, me).rule == "window"
    assert check_chain(dataclasses.replace(header, signer_set_id=2), catalog, members, me).rule == "signer_set"
    assert check_chain(header, catalog, replace(members, retired=True), me).rule == "signer_set"
    assert check_chain(header, catalog, replace(members, activation_epoch=2**60), me).rule == "signer_set"
    assert check_chain(header, catalog, members, vm.admin.pubkey()).rule == "not_a_member"
    final = replace(catalog, finalized_count=1, last_finalized_epoch=header.epoch_id)
    assert check_chain(header, final, members, me).rule == "not_newer"
    assert header.epoch_id == FIRST_EPOCH + 2


def test_the_first_difference_is_named_from_input_to_header(bundle):
    assert first_difference(bundle, bundle) is None
    bare = change_header(bundle, prev_bundle_hash=b"x" * 32)
    assert first_difference(bare, bundle) == "header field prev_bundle_hash"
    other = change_header(bundle, merkle_root=b"x" * 32)
    leaf = replace(other, leaves=change_leaf(bundle, risk_bps=9999).leaves)
    assert first_difference(leaf, bundle) == f"leaf of {bundle.market_ids[0]}"
    assert first_difference(leaf, replace(bundle, leaves=(), market_ids=())) == "header field merkle_root"
    states = ((*bundle.state_digests[0][:2], b"y" * 32), *bundle.state_digests[1:])
    assert first_difference(replace(leaf, state_digests=states), bundle) == "state of stage normalize in lane crypto/0"
    inputs = (bundle.input_digests[0], (1, b"z" * 32))
    assert (
        first_difference(replace(leaf, state_digests=states, input_digests=inputs), bundle) == "input of lane crypto/1"
    )
