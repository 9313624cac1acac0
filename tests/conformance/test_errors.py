"""Mistakes of clients get the code, and where it matters the words, that Agave gives."""

import base64
import json
import urllib.error

import pytest
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")


def pay(sender, to, lamports):
    return transfer(TransferParams(from_pubkey=sender.pubkey(), to_pubkey=to, lamports=lamports))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", -32700),
        ("", -32700),
        ("1", -32700),
        ('"x"', -32700),
        ("{}", -32600),
        ('{"jsonrpc":"2.0","id":1}', -32600),
        ('{"jsonrpc":"1.0","id":1,"method":"getSlot"}', -32600),
        ('{"id":1,"method":"getSlot"}', -32600),
        ('{"jsonrpc":"2.0","id":1,"method":"nope"}', -32601),
        ('{"jsonrpc":"2.0","id":1,"method":"getSlot","params":{}}', -32602),
        ('{"jsonrpc":"2.0","id":1,"method":"getSlot","params":[1]}', -32602),
        ('{"jsonrpc":"2.0","id":1,"method":"getBalance","params":[]}', -32602),
        ('{"jsonrpc":"2.0","id":1,"method":"getBalance","params":["xx"]}', -32602),
        ('{"jsonrpc":"2.0","id":1,"method":"getBalance","params":[5]}', -32602),
    ],
)
async def test_a_request_that_cannot_be_read_gets_the_code_of_its_mistake(chain, body, code):
    assert json.loads(chain.post(body))["error"]["code"] == code


async def test_a_batch_is_answered_in_order(chain):
    batch = [
        {"jsonrpc": "2.0", "id": "a", "method": "getHealth"},
        {"jsonrpc": "2.0", "id": 2, "method": "nope"},
        {"jsonrpc": "2.0", "id": 3, "method": "getBalance", "params": [str(Keypair().pubkey())]},
    ]
    answers = json.loads(chain.post(json.dumps(batch)))
    assert [answer["id"] for answer in answers] == ["a", 2, 3]
    assert answers[0]["result"] == "ok"
    assert answers[1]["error"]["code"] == -32601
    assert answers[2]["result"]["value"] == 0


async def test_another_content_type_is_refused(chain):
    with pytest.raises(urllib.error.HTTPError) as caught:
        chain.post("{}", content_type="text/plain")
    assert caught.value.code == 415


async def test_a_body_above_50_kib_is_refused(chain):
    with pytest.raises(urllib.error.HTTPError) as caught:
        chain.post("[" + " " * 60_000 + "]")
    assert caught.value.code == 413


async def test_a_transaction_with_an_unknown_blockhash_is_refused(chain, payer):
    tx = chain.sign([pay(payer, Keypair().pubkey(), 10**8)], [payer], blockhash=Hash.new_unique())
    error = chain.try_send(tx)
    assert (error["code"], error["message"]) == (-32002, "Transaction simulation failed: Blockhash not found")
    assert error["data"]["err"] == "BlockhashNotFound"
    assert error["data"]["logs"] == []


async def test_a_transaction_seen_before_is_already_processed(chain, payer):
    tx = chain.sign([pay(payer, Keypair().pubkey(), 10**8)], [payer])
    await chain.wait(chain.send(tx), "confirmed", tx)
    error = chain.try_send(tx)
    assert error["code"] == -32002
    assert error["data"]["err"] == "AlreadyProcessed"
    assert chain.send(tx, skipPreflight=True) == str(tx.signatures[0])


async def test_a_wrong_signature_is_refused(chain, payer):
    raw = bytearray(bytes(chain.sign([pay(payer, Keypair().pubkey(), 10**8)], [payer])))
    raw[5] ^= 1
    error = chain.error(
        "sendTransaction", base64.b64encode(raw).decode(), {"encoding": "base64", "preflightCommitment": "confirmed"}
    )
    assert error["code"] == -32002
    assert error["data"]["err"] == "SignatureFailure"


async def test_a_payer_without_lamports_is_refused(chain):
    stranger = Keypair()
    error = chain.try_send(chain.sign([pay(stranger, Keypair().pubkey(), 1)], [stranger]))
    assert error["data"]["err"] == "AccountNotFound"
    assert error["message"].endswith("Attempt to debit an account but found no record of a prior credit.")


async def test_a_failing_preflight_carries_the_simulation(chain, payer):
    error = chain.try_send(chain.sign([pay(payer, Keypair().pubkey(), 10**15)], [payer]))
    assert error["code"] == -32002
    assert error["message"] == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    )
    data = error["data"]
    assert data["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert data["unitsConsumed"] == 150
    assert data["fee"] == 5000
    assert data["logs"][-1] == "Program 11111111111111111111111111111111 failed: custom program error: 0x1"


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("!!!", {"encoding": "base64"}, "invalid base64 encoding"),
        ("!!!", {}, "invalid base58 encoding"),
        ("YWJj", {"encoding": "base64"}, "failed to deserialize"),
        (base64.b64encode(bytes(2000)).decode(), {"encoding": "base64"}, "too large"),
        ("YWJj", {"encoding": "jsonParsed"}, "unsupported encoding"),
    ],
)
async def test_bytes_that_are_no_transaction_are_named(chain, text, options, words):
    error = chain.error("sendTransaction", text, options)
    assert error["code"] == -32602
    assert words in error["message"]


@pytest.mark.parametrize(
    ("instructions", "words"),
    [
        ([set_compute_unit_limit(9)] * 2, "Transaction contains a duplicate instruction (1) that is not allowed"),
        ([Instruction(BUDGET, b"\2", [])], "Error processing Instruction 0: invalid instruction data"),
        ([Instruction(BUDGET, b"", [])], "Error processing Instruction 0: invalid instruction data"),
        ([Instruction(BUDGET, bytes(9), [])], "Error processing Instruction 0: invalid instruction data"),
    ],
)
async def test_a_compute_budget_that_cannot_be_read_is_no_transaction(chain, payer, instructions, words):
    tx = chain.sign(instructions, [payer])
    text = base64.b64encode(bytes(tx)).decode()
    expected = (-32602, f"invalid transaction: {words}")
    for method, options in (
        ("simulateTransaction", {}),
        ("sendTransaction", {}),
        ("sendTransaction", {"skipPreflight": True}),
    ):
        error = chain.error(method, text, {"encoding": "base64", **options})
        assert (error["code"], error["message"]) == expected
    message = base64.b64encode(bytes(tx.message)).decode()
    assert chain.result("getFeeForMessage", message, {"commitment": "confirmed"})["value"] == 5000


@pytest.mark.parametrize(
    ("data", "err"),
    [
        (b"\4" + bytes(4), "InvalidLoadedAccountsDataSizeLimit"),
        (b"\1\1" + bytes(3), {"InstructionError": [0, "InvalidInstructionData"]}),
    ],
)
async def test_a_compute_budget_of_impossible_size_never_lands(chain, payer, data, err):
    tx = chain.sign([Instruction(BUDGET, data, [])], [payer])
    value = chain.simulate(tx)
    assert (value["err"], value["fee"], value["logs"]) == (err, None, [])
    error = chain.try_send(tx)
    assert (error["code"], error["data"]["err"]) == (-32002, err)
    message = base64.b64encode(bytes(tx.message)).decode()
    assert chain.result("getFeeForMessage", message, {"commitment": "confirmed"})["value"] == 5000


async def test_a_payer_as_program_is_no_transaction(chain, payer):
    tx = chain.sign([Instruction(payer.pubkey(), b"", [])], [payer])
    error = chain.try_send(tx)
    words = "invalid transaction: Transaction failed to sanitize accounts offsets correctly"
    assert (error["code"], error["message"]) == (-32602, words)
    error = chain.error("getFeeForMessage", base64.b64encode(bytes(tx.message)).decode())
    assert (error["code"], error["message"]) == (-32602, "invalid transaction message: index out of bounds")


async def test_a_slot_the_node_has_not_reached_is_said_so(chain, payer):
    future = {"commitment": "confirmed", "minContextSlot": 10**9}
    for error in (
        chain.error("getAccountInfo", str(payer.pubkey()), future),
        chain.error("getBalance", str(payer.pubkey()), future),
        chain.error("getSlot", future),
        chain.try_send(chain.sign([pay(payer, Keypair().pubkey(), 1)], [payer]), minContextSlot=10**9),
    ):
        assert error["code"] == -32016
        assert error["data"]["contextSlot"] < 10**9


@pytest.mark.parametrize("method", ["getTransaction", "getSignaturesForAddress", "getBlock", "getBlocks"])
async def test_history_is_not_read_at_processed(chain, payer, method):
    first = {
        "getTransaction": str(payer.sign_message(b"x")),
        "getSignaturesForAddress": str(payer.pubkey()),
        "getBlock": 1,
        "getBlocks": 0,
    }[method]
    params = [first, 5] if method == "getBlocks" else [first]
    error = chain.error(method, *params, {"commitment": "processed"})
    assert (error["code"], error["message"]) == (-32602, "Method does not support commitment below `confirmed`")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("getMultipleAccounts", [["11111111111111111111111111111111"] * 101]),
        ("getSignatureStatuses", [["1" * 64] * 257]),
        ("getSignatureStatuses", [["xx"]]),
        ("getTransaction", ["xx"]),
        ("getSignaturesForAddress", ["11111111111111111111111111111111", {"limit": 1001}]),
        ("getSignaturesForAddress", ["11111111111111111111111111111111", {"limit": 0}]),
        ("getBlocksWithLimit", [1, 500_001]),
        ("isBlockhashValid", ["x"]),
        ("getFeeForMessage", ["AAAA"]),
        ("getMinimumBalanceForRentExemption", [-1]),
        ("getAccountInfo", ["11111111111111111111111111111111", {"encoding": "nope"}]),
        ("getProgramAccounts", ["11111111111111111111111111111111", {"filters": [{"dataSize": 1}] * 5}]),
        (
            "getProgramAccounts",
            ["11111111111111111111111111111111", {"filters": [{"memcmp": {"offset": 0, "bytes": "0"}}]}],
        ),
    ],
)
async def test_parameters_outside_their_range_are_invalid(chain, method, params):
    assert chain.error(method, *params)["code"] == -32602


async def test_a_block_that_does_not_exist_yet_is_not_available(chain):
    error = chain.error("getBlock", 10**9, {"commitment": "confirmed"})
    assert (error["code"], error["message"]) == (-32004, f"Block not available for slot {10**9}")
    assert chain.error("getBlockTime", 10**9)["code"] == -32004


async def test_an_unknown_before_signature_is_said_so(chain, payer):
    unknown = str(Keypair().sign_message(b"x"))
    error = chain.error("getSignaturesForAddress", str(payer.pubkey()), {"commitment": "confirmed", "before": unknown})
    assert error["code"] == -32020
    assert unknown in error["message"]
