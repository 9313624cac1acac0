"""Sending acts at most once: the same bytes until they land or expire, and a new signature only after that."""

import asyncio
from dataclasses import replace

import pytest
from m0chain import (
    BlockhashExpired,
    ChainClient,
    ProgramError,
    RpcRejected,
    RpcUnavailable,
    Sender,
    Timing,
    TransactionFailed,
    Unconfirmed,
    idl,
)
from m0common.errors import InvalidValue
from scripted_node import ScriptedNode, preflight_failure
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

PROGRAM = Pubkey.new_unique()
FAST = Timing(
    poll_s=0.01, resubmit_s=0.02, attempts=3, first_wait_s=0.01, longest_wait_s=0.02, outcome_s=60, fastest_slot_s=1e-6
)
WORK = Instruction(PROGRAM, b"work", [])
CUSTOM = {"InstructionError": [0, {"Custom": 6111}]}


@pytest.fixture
async def node():
    async with ScriptedNode() as made:
        yield made


@pytest.fixture
async def sender(node):
    async with ChainClient(node.url, timing=FAST, idls={PROGRAM: idl.oracle()}) as client:
        yield Sender(client)


async def test_the_same_bytes_are_submitted_until_they_land(node, sender):
    node.on_send = lambda signature, count, _: node.land(signature) if count == 3 else None
    landed = await sender.send([WORK], [Keypair()])
    assert landed.signature == node.signatures[0]
    assert len(node.sent) == 3
    assert len({raw for _, raw, _ in node.sent}) == 1
    assert [skip for _, _, skip in node.sent] == [False, True, True]


async def test_it_is_signed_again_only_after_the_blockhash_expired(node, sender):
    def on_send(signature, count, _):
        if count == 3:
            node.grow(node.valid_for + 1)
        if count == 4:
            node.land(signature)

    node.on_send = on_send
    landed = await sender.send([WORK], [Keypair()])
    assert len(node.signatures) == 2
    assert landed.signature == node.signatures[1]


async def test_one_that_landed_in_its_last_block_is_found_and_not_sent_again(node, sender):
    def on_send(signature, count, _):
        node.grow(node.valid_for + 1)
        asyncio.get_running_loop().call_later(0.0, node.land, signature)

    node.on_send = on_send
    landed = await sender.send([WORK], [Keypair()])
    assert node.signatures == [landed.signature]


async def test_expiring_every_time_is_an_error_that_is_safe_to_repeat(node, sender):
    def on_send(*_):
        node.grow(node.valid_for + 1)

    node.on_send = on_send
    with pytest.raises(BlockhashExpired):
        await sender.send([WORK], [Keypair()])
    assert len(node.signatures) == 3


async def test_a_lost_answer_does_not_make_it_sign_again_or_trust_a_later_preflight(node, sender):
    def on_send(signature, count, skip):
        if count == 1:
            return "drop"
        assert skip
        node.land(signature)
        return None

    node.on_send = on_send
    landed = await sender.send([WORK], [Keypair()])
    assert node.signatures == [landed.signature]


async def test_already_processed_means_look_at_the_status(node, sender):
    def on_send(signature, count, _):
        node.land(signature)
        return preflight_failure("AlreadyProcessed")

    node.on_send = on_send
    assert (await sender.send([WORK], [Keypair()])).slot == 5


async def test_a_node_that_has_not_seen_the_blockhash_yet_is_asked_again_with_preflight(node, sender):
    def on_send(signature, count, skip):
        assert not skip
        if count < 3:
            return preflight_failure("BlockhashNotFound")
        node.land(signature)
        return None

    node.on_send = on_send
    await sender.send([WORK], [Keypair()])
    assert len(node.sent) == 3


async def test_a_failed_preflight_of_the_first_submission_is_the_outcome(node, sender):
    node.on_send = lambda *_: preflight_failure(CUSTOM, ["Program x failed"])
    with pytest.raises(ProgramError) as caught:
        await sender.send([WORK], [Keypair()])
    assert (caught.value.name, caught.value.code, caught.value.logs) == (
        "AlreadyCommitted",
        6111,
        ("Program x failed",),
    )
    assert len(node.sent) == 1


async def test_a_failure_on_chain_is_named_like_one_in_preflight(node, sender):
    node.on_send = lambda signature, *_: node.land(signature, CUSTOM)
    with pytest.raises(ProgramError, match="AlreadyCommitted"):
        await sender.send([WORK], [Keypair()])
    node.on_send = lambda signature, *_: node.land(signature, {"InstructionError": [0, {"Custom": 1}]})
    with pytest.raises(TransactionFailed, match=r"Custom\(1\)"):
        await sender.send([WORK], [Keypair()])
    node.on_send = lambda signature, *_: node.land(signature, {"InstructionError": [0, "InvalidAccountData"]})
    with pytest.raises(TransactionFailed, match="InvalidAccountData"):
        await sender.send([WORK], [Keypair()])


async def test_an_outcome_that_does_not_come_names_the_signature_to_look_up(node):
    timing = Timing(poll_s=0.01, resubmit_s=0.02, outcome_s=0.1)
    async with ChainClient(node.url, timing=timing) as client:
        with pytest.raises(Unconfirmed) as caught:
            await Sender(client).send([WORK], [Keypair()])
    assert list(caught.value.signatures) == node.signatures


async def test_a_read_is_retried_while_the_node_drops_connections(node, sender):
    node.dropping = 2
    assert (await sender.client.head()).height == 900
    node.dropping = 3
    with pytest.raises(RpcUnavailable):
        await sender.client.head()


async def test_a_refusal_is_not_retried(node, sender):
    node.on_send = lambda *_: {"code": -32602, "message": "invalid params"}
    with pytest.raises(RpcRejected, match="invalid params"):
        await sender.send([WORK], [Keypair()])
    assert len(node.sent) == 1


async def test_rate_limits_and_unhealthy_nodes_are_waited_for(node, sender):
    def on_send(signature, count, _):
        if count == 1:
            return {"code": -32005, "message": "Node is behind", "data": {"numSlotsBehind": 9}}
        if count == 2:
            return {"code": 429, "message": "Too many requests"}
        node.land(signature)
        return None

    node.on_send = on_send
    assert (await sender.send([WORK], [Keypair()])).signature == node.signatures[0]


async def test_what_one_node_knows_of_expiry_is_nothing_before_the_other_has_got_there(node):
    """Heights of a node that is ahead, statuses of one that is behind: the transfer lands, and is paid once."""
    behind = node.slot
    node.statuses_slot = lambda: behind

    def on_send(signature, count, _):
        node.grow(node.valid_for + 10)
        if count == 5:
            node.land(signature)

    node.on_send = on_send
    async with ChainClient(node.url, timing=FAST) as client:
        landed = await Sender(client).send([WORK], [Keypair()])
    assert node.signatures == [landed.signature]


async def test_what_stays_unknown_is_unconfirmed_and_never_signed_again(node):
    behind = node.slot
    node.statuses_slot = lambda: behind
    node.on_send = lambda *_: node.grow(node.valid_for + 10)
    timing = replace(FAST, outcome_s=0.5)
    async with ChainClient(node.url, timing=timing) as client:
        with pytest.raises(Unconfirmed):
            await Sender(client).send([WORK], [Keypair()])
    assert len(node.signatures) == 1


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(lambda node: (node.slot + 10, node.height + 400), id="more-blocks-than-slots"),
        pytest.param(lambda node: (node.slot + 10**7, node.height + 10**7), id="more-slots-than-time"),
    ],
)
async def test_a_height_that_cannot_be_is_not_believed(node, head):
    slow = replace(FAST, outcome_s=0.5, fastest_slot_s=1e-4)
    node.heads = lambda: head(node)
    node.statuses_slot = lambda: node.slot + 10**8
    async with ChainClient(node.url, timing=slow) as client:
        with pytest.raises(Unconfirmed):
            await Sender(client).send([WORK], [Keypair()])
    assert "getEpochInfo" in {method for method, _ in node.asked}
    assert len(node.signatures) == 1


async def test_the_height_is_asked_only_of_nodes_that_have_seen_the_blockhash(node, sender):
    lagging = [(node.slot - 1, 0)]
    node.heads = lambda: lagging.pop() if lagging else (node.slot, node.height)

    def on_send(signature, count, _):
        if count == 1:
            node.grow(node.valid_for + 1)
        if count == 3:
            node.land(signature)

    node.on_send = on_send
    await sender.send([WORK], [Keypair()])
    wanted = {params[0]["minContextSlot"] for method, params in node.asked if method == "getEpochInfo"}
    assert 1_000 in wanted


async def test_a_refusal_after_a_submission_that_may_have_arrived_is_not_the_outcome(node, sender):
    def on_send(signature, count, _):
        if count == 1:
            return "drop"
        if count == 2:
            return {"code": -32601, "message": "method not found"}
        node.land(signature)
        return None

    node.on_send = on_send
    landed = await sender.send([WORK], [Keypair()])
    assert node.signatures == [landed.signature]


async def test_a_node_that_goes_away_after_the_submission_leaves_it_unconfirmed(node):
    def on_send(*_):
        node.dropping = 10_000

    node.on_send = on_send
    async with ChainClient(node.url, timing=replace(FAST, outcome_s=0.5)) as client:
        with pytest.raises(Unconfirmed) as caught:
            await Sender(client).send([WORK], [Keypair()])
    assert list(caught.value.signatures) == node.signatures


async def test_the_statuses_of_all_that_is_on_its_way_are_asked_together(node, sender):
    arrived = []

    def on_send(signature, count, _):
        arrived.append(signature)
        if len(set(arrived)) == 20:
            for each in arrived:
                node.land(each)

    node.on_send = on_send
    await asyncio.gather(*(sender.send([WORK], [Keypair()]) for _ in range(20)))
    looks = [params[0] for method, params in node.asked if method == "getSignatureStatuses"]
    assert max(len(signatures) for signatures in looks) == 20


async def test_who_is_cancelled_holds_up_nobody(node, sender):
    sent = asyncio.Event()
    node.on_send = lambda *_: sent.set()
    first = asyncio.create_task(sender.send([WORK], [Keypair()]))
    await sent.wait()
    first.cancel()
    node.on_send = lambda signature, *_: node.land(signature)
    assert (await sender.send([WORK], [Keypair()])).signature == node.signatures[-1]


async def test_a_signature_that_is_missing_is_named_before_anything_is_sent(node, sender):
    from solders.instruction import AccountMeta

    stranger = Pubkey.new_unique()
    needs = Instruction(PROGRAM, b"", [AccountMeta(stranger, is_signer=True, is_writable=False)])
    with pytest.raises(InvalidValue, match=str(stranger)):
        await sender.send([needs], [Keypair()])
    assert node.sent == []
