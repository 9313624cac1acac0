"""The RPC surface takes anything a client can send."""

import base64
import string

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0localnet.rpc.dispatch import handle
from m0localnet.rpc.registry import METHODS
from solders.keypair import Keypair

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ASKED = {
    "getAccountInfo", "getMultipleAccounts", "getProgramAccounts", "getBalance", "getLatestBlockhash",
    "isBlockhashValid", "sendTransaction", "simulateTransaction", "getSignatureStatuses", "getSignaturesForAddress",
    "getTransaction", "getBlock", "getBlocks", "getBlocksWithLimit", "getBlockTime", "getBlockHeight", "getSlot",
    "getEpochInfo", "getEpochSchedule", "getMinimumBalanceForRentExemption", "requestAirdrop", "getFeeForMessage",
    "getRecentPrioritizationFees", "getVersion", "getHealth", "getGenesisHash", "getIdentity", "getSupply",
    "getTransactionCount", "getFirstAvailableBlock", "minimumLedgerSlot", "getLargestAccounts",
    "getTokenAccountBalance", "getTokenSupply", "getTokenAccountsByOwner", "getClusterNodes", "getVoteAccounts",
}  # fmt: skip

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.text(alphabet=BASE58, min_size=30, max_size=90),
    st.text(alphabet=string.ascii_letters + "+/=", max_size=200),
    st.sampled_from(["11111111111111111111111111111111", "base64", "confirmed", "processed", "jsonParsed"]),
)
names = st.sampled_from(
    ["encoding", "commitment", "dataSlice", "offset", "length", "filters", "memcmp", "bytes", "dataSize", "limit",
     "before", "until", "minContextSlot", "accounts", "addresses", "mint", "programId", "transactionDetails",
     "maxSupportedTransactionVersion", "skipPreflight", "preflightCommitment", "seconds", "unix_timestamp"]
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=8
)


def test_every_method_asked_for_exists():
    assert ASKED - set(METHODS) == set()


@pytest.fixture(scope="module")
def node(tmp_path_factory, tools):
    hand = tools.Hand(tmp_path_factory.mktemp("fuzz") / "ledger", allow_admin=True)
    key = hand.funded()
    hand.slots(8)
    yield hand, key
    hand.close()


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.fixed_dictionaries({"memcmp": st.fixed_dictionaries({"offset": scalars, "bytes": values})}),
            st.fixed_dictionaries({"dataSize": scalars}),
            values,
        ),
        max_size=4,
    )
)
def test_no_filters_make_program_accounts_fail_inside(node, filters):
    hand, _ = node
    config = {"encoding": "base64", "filters": filters}
    reply = hand.call("getProgramAccounts", "BPFLoaderUpgradeab1e11111111111111111111111", config)
    assert reply.get("error", {}).get("code") in (None, -32602), reply


@settings(max_examples=300)
@given(st.data())
def test_no_parameters_make_a_method_fail_inside(node, data):
    hand, key = node
    name = data.draw(st.sampled_from(sorted(set(METHODS) - {"m0_setClock", "m0_advanceClock", "getLeaderSchedule"})))
    params = data.draw(st.lists(values | st.just(str(key.pubkey())), max_size=3))
    reply = hand.call(name, *params)
    assert reply.get("error", {}).get("code") != -32603, (name, params, reply)


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789truefalsn', max_size=60).map(str.encode))
def test_no_body_makes_the_node_fail(node, body):
    hand, _ = node
    reply = handle(hand.node, body)
    if reply:
        decoded = msgspec.json.decode(reply)
        for item in decoded if isinstance(decoded, list) else [decoded]:
            assert item.get("error", {}).get("code") != -32603


def test_deep_nesting_is_a_parse_error(node):
    hand, _ = node
    for body in (b"[" * 50_000, b'{"a":' * 9_000):
        assert msgspec.json.decode(handle(hand.node, body))["error"]["code"] == -32700


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_transaction_is_refused_and_changes_nothing(node, tools, data):
    hand, key = node
    raw = bytearray(bytes(hand.sign([tools.pay(key, Keypair().pubkey(), tools.SOL // 100)], key)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    before, count = hand.balance(key.pubkey()), hand.bank.transaction_count
    reply = hand.call("sendTransaction", base64.b64encode(raw).decode(), {"encoding": "base64"})
    assert reply["error"]["code"] in (-32602, -32002), reply
    skipped = hand.call(
        "sendTransaction", base64.b64encode(raw).decode(), {"encoding": "base64", "skipPreflight": True}
    )
    assert skipped.get("error", {}).get("code") in (None, -32602)
    assert (hand.balance(key.pubkey()), hand.bank.transaction_count) == (before, count)
