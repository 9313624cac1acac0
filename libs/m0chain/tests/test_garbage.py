"""Whatever a node says, a caller sees an error of m0chain, which names the method and no address."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from m0chain import ChainClient, ChainError, RpcRejected, RpcUnavailable, Timing
from scripted_node import ScriptedNode
from solders.pubkey import Pubkey
from solders.signature import Signature

KEY = Pubkey.new_unique()
SIGNATURE = Signature.default()
ONCE = Timing(attempts=1, request_s=60)


async def history(client):
    return [info async for info in client.signatures_since(KEY, str(SIGNATURE))]


READS = {
    "getAccountInfo": lambda client: client.account(KEY),
    "getMultipleAccounts": lambda client: client.accounts([KEY]),
    "getProgramAccounts": lambda client: client.program_accounts(KEY, b"8 bytes!"),
    "getSignatureStatuses": lambda client: client.statuses([SIGNATURE]),
    "getBalance": lambda client: client.balance(KEY),
    "getEpochInfo": lambda client: client.head(),
    "getMinimumBalanceForRentExemption": lambda client: client.rent_exempt(8),
    "getTransaction": lambda client: client.transaction(str(SIGNATURE)),
    "getSignaturesForAddress": history,
    "getGenesisHash": lambda client: client.call(lambda c: c.get_genesis_hash()),
    "getLatestBlockhash": lambda client: client.call(lambda c: c.get_latest_blockhash()),
    "getSlot": lambda client: client.call(lambda c: c.get_slot()),
}
HTML = b"<html><body>502 Bad Gateway</body></html>"
BODIES = {
    "html": (200, HTML),
    "html-502": (502, HTML),
    "500": (500, b""),
    "429": (429, b'{"jsonrpc":"2.0","error":{"code":429,"message":"slow down"},"id":0}'),
    "410": (410, b"gone"),
    "empty": (200, b""),
    "binary": (200, b"\xff\xfe\x00\x80" * 9),
    "null": (200, b"null"),
    "list": (200, b"[]"),
    "number": (200, b"7"),
    "no-result": (200, b'{"jsonrpc":"2.0","id":0}'),
    "both": (200, b'{"jsonrpc":"2.0","id":0,"result":{"x":[]},"error":{"code":1,"message":"x"}}'),
    "deep": (200, b"[" * 50_000),
    "own-code": (200, b'{"jsonrpc":"2.0","id":0,"error":{"code":-30999,"message":"x"}}'),
    "cut": (200, b'{"jsonrpc":"2.0","id":0,"result":{"context":{"slot":1},"val'),
}


@pytest.fixture
async def node():
    async with ScriptedNode() as made:
        yield made


@pytest.fixture
async def client(node):
    async with ChainClient(f"{node.url}/?api-key=SECRET", timing=ONCE) as made:
        yield made


@pytest.mark.parametrize("method", READS)
async def test_a_page_of_anything_else_is_an_unavailable_node(node, client, method):
    for name, body in BODIES.items():
        node.raw = lambda _, body=body: body
        with pytest.raises(RpcUnavailable) as caught:
            await READS[method](client)
        assert method in str(caught.value), name
        assert "SECRET" not in str(caught.value), name


@pytest.mark.parametrize("method", READS)
async def test_a_refusal_names_the_method(node, client, method):
    for code in (-32010, -32601, -32602):
        error = {"code": code, "message": "not here"}
        node.answers[method] = lambda *_, error=error: {"error": error}
        with pytest.raises(RpcRejected, match=method):
            await READS[method](client)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["context", "slot", "value", "data", "owner", "lamports", "err", "signature"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("method", READS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(result=VALUES)
async def test_no_result_of_another_shape_is_any_other_error(node, client, method, result):
    node.answers[method] = lambda *_: {"result": result}
    with contextlib.suppress(ChainError):
        await READS[method](client)
