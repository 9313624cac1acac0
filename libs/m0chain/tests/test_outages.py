"""An ill node between us and a real chain: named while it lasts, over when it is over, and paid once all the same."""

import asyncio
import contextlib
import time

import pytest
from m0chain import ChainClient, RpcUnavailable, Sender, Timing
from m0chain.pulse import node_pulse
from m0local.ill_node import ILLNESSES, IllNode, refuses, short_pages
from m0local.testing import taken
from solders.keypair import Keypair
from solders.system_program import TransferParams, transfer

PATIENT = Timing(poll_s=0.05, attempts=2, request_s=1.0, first_wait_s=0.02, longest_wait_s=0.1, outcome_s=300)
LAMPORTS = 10**7


def now_ms():
    return int(time.time() * 1000)


@pytest.fixture(scope="module", autouse=True)
def keeps_time(localnet):
    """Whether a node is ill is asked of its clock too."""
    if not localnet.keeps_time:
        pytest.skip("this node's own clock falls behind on a busy machine")


@pytest.fixture(scope="module")
def payer(localnet):
    key = Keypair()

    async def fund():
        async with ChainClient(localnet.rpc_url) as client:
            await client.airdrop(key.pubkey(), 10**10)

    asyncio.run(fund())
    return key


@pytest.fixture
async def node(localnet):
    async with IllNode(localnet.rpc_url) as made:
        yield made


async def until(condition, within_s=60):
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - it is asked, and tells nobody
            await asyncio.sleep(0.02)


def payment(payer, receiver):
    return transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=receiver, lamports=LAMPORTS))


async def pay(client, payer, receiver):
    """Try again only where that is safe."""
    sender = Sender(client)
    while True:
        with contextlib.suppress(RpcUnavailable):
            return await sender.send([payment(payer, receiver)], [payer])


@pytest.mark.parametrize("illness", ["500", "429", "html", "html-200", "garbage", "silent"])
async def test_a_request_that_fails_names_the_node(node, illness):
    node.illness = ILLNESSES[illness]()
    async with ChainClient(node.url, timing=PATIENT) as client:
        with pytest.raises(RpcUnavailable, match=r"^getBalance: the node "):
            await client.balance(Keypair().pubkey())


async def test_a_node_that_is_not_there_is_named():
    async with ChainClient("http://127.0.0.1:9", timing=PATIENT) as client:
        with pytest.raises(RpcUnavailable, match=r"^getBalance: the node at http://\S+ cannot be asked: "):
            await client.balance(Keypair().pubkey())


@pytest.mark.parametrize("illness", ILLNESSES)
async def test_an_ill_node_is_named_is_over_when_it_is_over_and_costs_one_payment(localnet, node, payer, illness):
    receiver = Keypair().pubkey()
    async with ChainClient(node.url, timing=PATIENT) as client, taken(node_pulse(node.url, now_ms)) as pulse:
        await until(lambda: pulse.problem() is None)
        node.illness = ILLNESSES[illness]()
        paying = asyncio.create_task(pay(client, payer, receiver))
        await until(lambda: pulse.problem() is not None)
        node.illness = None
        await until(lambda: pulse.problem() is None)
        async with asyncio.timeout(300):
            landed = await paying
        history = [info.signature async for info in client.signatures_since(receiver)]
        assert history == [landed.signature]
        assert await client.balance(receiver) == LAMPORTS


async def test_short_pages_hide_nothing(node, payer):
    receiver = Keypair().pubkey()
    node.illness = short_pages
    async with ChainClient(node.url, timing=PATIENT) as client:
        sent = [(await pay(client, payer, receiver)).signature for _ in range(5)]
        assert [info.signature async for info in client.signatures_since(receiver)] == sent
        assert [info.signature async for info in client.signatures_since(receiver, sent[1])] == sent[2:]


async def test_a_node_that_has_not_got_one_method_is_well_otherwise(node, payer):
    node.illness = refuses("getProgramAccounts")
    async with ChainClient(node.url, timing=PATIENT) as client, taken(node_pulse(node.url, now_ms)) as pulse:
        await until(lambda: pulse.problem() is None)
        assert await pay(client, payer, Keypair().pubkey())
        assert pulse.problem() is None
