import dataclasses

import lanes_world as world
import msgspec
import pytest
from m0_signer.compare import first_difference
from m0_signer.policy import Refusal, check_chain, check_header
from m0common.canonical import BundleHeader
from signer_log import BASE_MS, EPOCH_MS, FIRST_EPOCH, Live, with_header
from signer_vm import Vm

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def claim():
    return Live(world.season(3).records).headers[-1]


@pytest.fixture(scope="module")
def vm():
    return Vm(BASE_MS + EPOCH_MS)


def with_lane(claim, index, **fields):
    lanes = list(claim.lanes)
    lanes[index] = replace(lanes[index], **fields)
    return replace(claim, lanes=tuple(lanes))


def test_a_header_of_the_lanes_holds(claim):
    header = check_header(claim)
    assert isinstance(header, BundleHeader)
    assert header.leaf_count > 3


@pytest.mark.parametrize(
    ("rule", "damage"),
    [
        ("malformed", lambda c: replace(c, header=c.header[:-1])),
        ("malformed", lambda c: replace(c, catalog="sports")),
        ("malformed", lambda c: replace(c, epoch_id=c.epoch_id + 1)),
        ("pieces", lambda c: replace(c, pieces=())),
        ("pieces", lambda c: with_header(c, leaf_count=0)),
        ("input_root", lambda c: with_header(c, input_root=bytes(32))),
        ("input_root", lambda c: with_lane(c, 0, input_digest=bytes(32))),
        ("state_root", lambda c: with_header(c, state_root=bytes(32))),
        ("state_root", lambda c: with_lane(c, 1, stage_digests=c.lanes[1].stage_digests[:2])),
    ],
)
def test_any_damage_to_a_claim_is_refused_by_its_rule(claim, rule, damage):
    refusal = check_header(damage(claim))
    assert isinstance(refusal, Refusal)
    assert refusal.rule == rule


async def test_the_chain_decides_window_set_membership_and_order(claim, vm):
    header, catalog = BundleHeader.decode(claim.header), vm.catalog("coins")
    members = await vm.port(0).signer_set(1)
    me = vm.keys[0].pubkey()
    assert check_chain(header, catalog, members, me) is None
    moved = dataclasses.replace(header, window_start_ms=header.window_start_ms + 1)
    assert check_chain(moved, catalog, members, me).rule == "window"
    assert check_chain(dataclasses.replace(header, signer_set_id=2), catalog, members, me).rule == "signer_set"
    assert check_chain(header, catalog, replace(members, retired=True), me).rule == "signer_set"
    assert check_chain(header, catalog, replace(members, activation_epoch=2**60), me).rule == "signer_set"
    assert check_chain(header, catalog, members, vm.admin.pubkey()).rule == "not_a_member"
    final = replace(catalog, finalized_count=1, last_finalized_epoch=header.epoch_id)
    assert check_chain(header, final, members, me).rule == "not_newer"
    assert header.epoch_id == FIRST_EPOCH + 2


def test_the_first_difference_is_named_from_lanes_over_input_and_state_to_the_header(claim):
    assert first_difference(claim, claim) is None
    bare = with_header(claim, prev_bundle_hash=b"x" * 32)
    assert first_difference(bare, claim) == "header field prev_bundle_hash"
    leaves = with_header(bare, merkle_root=b"x" * 32)
    assert first_difference(leaves, claim) == "header field merkle_root"
    release = with_lane(leaves, 2, release=b"r" * 32)
    lane = [each.partition for each in claim.lanes]
    assert first_difference(release, claim) == f"release of lane coins/{lane[2]}"
    digests = claim.lanes[1].stage_digests
    model = with_lane(release, 1, stage_digests=(*digests[:2], b"y" * 32))
    assert first_difference(model, claim) == f"state of stage model in lane coins/{lane[1]}"
    normalize = with_lane(model, 2, stage_digests=(b"z" * 32, *claim.lanes[2].stage_digests[1:]))
    assert first_difference(normalize, claim) == f"state of stage normalize in lane coins/{lane[2]}"
    events = with_lane(normalize, 1, input_digest=b"i" * 32)
    assert first_difference(events, claim) == f"input of lane coins/{lane[1]}"
    fewer = replace(events, lanes=events.lanes[1:])
    assert first_difference(fewer, claim) == f"lane coins/{lane[0]}, which is only computed"
