"""Simulation: nothing is kept, everything is told."""

import base64

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")


def pay(sender, to, lamports):
    return transfer(TransferParams(from_pubkey=sender.pubkey(), to_pubkey=to, lamports=lamports))


async def test_a_simulation_tells_everything_and_keeps_nothing(chain, payer):
    to = Keypair().pubkey()
    before = chain.balance(payer.pubkey())
    value = chain.simulate(chain.sign([pay(payer, to, 10**8)], [payer]))
    assert value["err"] is None
    assert value["logs"] == [
        "Program 11111111111111111111111111111111 invoke [1]",
        "Program 11111111111111111111111111111111 success",
    ]
    assert value["unitsConsumed"] == 150
    assert value["fee"] == 5000
    assert value["accounts"] is None
    assert value["innerInstructions"] is None
    assert value["replacementBlockhash"] is None
    assert value["returnData"] is None
    assert value["preBalances"] == [before, 0, 1]
    assert value["postBalances"] == [before - 5000 - 10**8, 10**8, 1]
    assert value["loadedAccountsDataSize"] == 64 + 64 + 14
    assert chain.balance(to, "processed") == 0
    assert chain.balance(payer.pubkey(), "processed") == before


async def test_a_failing_simulation_is_a_result(chain, payer):
    value = chain.simulate(chain.sign([pay(payer, Keypair().pubkey(), 10**15)], [payer]))
    assert value["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert value["unitsConsumed"] == 150
    assert value["logs"][-1].endswith("failed: custom program error: 0x1")


async def test_accounts_are_shown_as_they_would_be(chain, payer):
    to, absent = Keypair().pubkey(), Keypair().pubkey()
    tx = chain.sign([pay(payer, to, 10**8)], [payer])
    wanted = {"encoding": "base64", "addresses": [str(to), str(absent)]}
    value = chain.simulate(tx, accounts=wanted)
    assert value["accounts"][0]["lamports"] == 10**8
    assert value["accounts"][1] is None
    bad = chain.call(
        "simulateTransaction",
        base64.b64encode(bytes(tx)).decode(),
        {"encoding": "base64", "accounts": {**wanted, "encoding": "base58"}},
    )
    assert bad["error"]["code"] == -32602


async def test_signatures_are_checked_on_request(chain, payer):
    raw = bytearray(bytes(chain.sign([pay(payer, Keypair().pubkey(), 10**8)], [payer])))
    raw[5] ^= 1
    text = base64.b64encode(raw).decode()
    config = {"encoding": "base64", "commitment": "confirmed"}
    assert chain.result("simulateTransaction", text, config)["value"]["err"] is None
    checked = chain.result("simulateTransaction", text, {**config, "sigVerify": True})["value"]
    assert checked["err"] == "SignatureFailure"
    error = chain.error("simulateTransaction", text, {**config, "sigVerify": True, "replaceRecentBlockhash": True})
    assert error["code"] == -32602


async def test_an_unsigned_transaction_tells_what_it_would_do(chain, payer):
    for lamports, err in ((10**8, None), (10**15, {"InstructionError": [0, {"Custom": 1}]})):
        signed = chain.sign([pay(payer, Keypair().pubkey(), lamports)], [payer])
        unsigned = VersionedTransaction.populate(signed.message, [Signature.default()])
        for replace in (False, True):
            value = chain.simulate(unsigned, replaceRecentBlockhash=replace)
            assert (value["err"], value["unitsConsumed"], bool(value["logs"])) == (err, 150, True)


async def test_the_blockhash_is_checked_unless_it_is_replaced(chain, payer):
    tx = chain.sign([pay(payer, Keypair().pubkey(), 10**8)], [payer], blockhash=Hash.new_unique())
    assert chain.simulate(tx)["err"] == "BlockhashNotFound"
    value = chain.simulate(tx, replaceRecentBlockhash=True)
    assert value["err"] is None
    assert set(value["replacementBlockhash"]) == {"blockhash", "lastValidBlockHeight"}


async def test_a_simulation_runs_on_the_state_of_its_commitment(chain):
    fresh = await chain.funded(10**9)
    tx = chain.sign([pay(fresh, Keypair().pubkey(), 10**8)], [fresh], blockhash=chain.blockhash("finalized"))
    text = base64.b64encode(bytes(tx)).decode()
    config = {"encoding": "base64"}
    old = chain.result("simulateTransaction", text, {**config, "commitment": "finalized"})["value"]
    new = chain.result("simulateTransaction", text, {**config, "commitment": "confirmed"})["value"]
    assert (old["err"], new["err"]) == ("AccountNotFound", None)


async def test_return_data_and_inner_instructions_are_told(chain, payer):
    # GetAccountDataSize of the token program returns 165 for a mint.
    mint = await _mint(chain, payer)
    ask = Instruction(TOKEN, bytes([21]), [AccountMeta(mint, False, False)])
    value = chain.simulate(chain.sign([ask], [payer]))
    assert value["err"] is None
    assert value["returnData"] == {
        "data": [base64.b64encode((165).to_bytes(8, "little")).decode(), "base64"],
        "programId": str(TOKEN),
    }
    ata_program = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
    ata = Pubkey.find_program_address([bytes(payer.pubkey()), bytes(TOKEN), bytes(mint)], ata_program)[0]
    make = Instruction(
        ata_program,
        b"\0",
        [
            AccountMeta(payer.pubkey(), True, True),
            AccountMeta(ata, False, True),
            AccountMeta(payer.pubkey(), False, False),
            AccountMeta(mint, False, False),
            AccountMeta(Pubkey.default(), False, False),
            AccountMeta(TOKEN, False, False),
        ],
    )
    value = chain.simulate(chain.sign([make], [payer]), innerInstructions=True)
    assert value["err"] is None
    [inner] = value["innerInstructions"]
    assert inner["index"] == 0
    assert len(inner["instructions"]) == 4
    assert {call["stackHeight"] for call in inner["instructions"]} == {2}
    assert value["loadedAccountsDataSize"] > 100_000


async def _mint(chain, payer):
    from solders.system_program import CreateAccountParams, create_account

    mint = Keypair()
    create = create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(), to_pubkey=mint.pubkey(), lamports=chain.rent(82), space=82, owner=TOKEN
        )
    )
    init = Instruction(TOKEN, bytes([20, 6]) + bytes(payer.pubkey()) + b"\0", [AccountMeta(mint.pubkey(), False, True)])
    await chain.ok([create, init], [payer, mint])
    return mint.pubkey()


@pytest.mark.parametrize("count", [1, 3])
async def test_more_accounts_than_the_transaction_names_are_refused(chain, payer, count):
    tx = chain.sign([pay(payer, Keypair().pubkey(), 10**8)], [payer])
    wanted = {"encoding": "base64", "addresses": [str(payer.pubkey())] * (count + 3 if count > 1 else 1)}
    reply = chain.call(
        "simulateTransaction",
        base64.b64encode(bytes(tx)).decode(),
        {"encoding": "base64", "commitment": "confirmed", "accounts": wanted},
    )
    assert ("error" in reply) == (count > 1)
