"""Moving lamports: balances, fees, records and the numbers a cluster charges."""

import base64

from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

SIGNATURE_FEE = 5000
TRANSFER_UNITS = 150
ED25519 = Pubkey.from_string("Ed25519SigVerify111111111111111111111111111")


def pay(sender, to, lamports):
    return transfer(TransferParams(from_pubkey=sender.pubkey(), to_pubkey=to, lamports=lamports))


async def test_a_transfer_moves_lamports_and_costs_one_signature(chain, payer):
    to = Keypair().pubkey()
    before = chain.balance(payer.pubkey())
    told = await chain.ok([pay(payer, to, 10**8)], [payer])
    assert chain.balance(to) == 10**8
    assert chain.balance(payer.pubkey()) == before - 10**8 - SIGNATURE_FEE
    assert told["meta"]["fee"] == SIGNATURE_FEE
    assert told["meta"]["computeUnitsConsumed"] == TRANSFER_UNITS
    assert told["meta"]["preBalances"] == [before, 0, 1]
    assert told["meta"]["postBalances"] == [before - 10**8 - SIGNATURE_FEE, 10**8, 1]


async def test_solana_py_sends_and_confirms_a_transfer(chain, payer):
    to = Keypair().pubkey()
    async with chain.client() as client:
        latest = (await client.get_latest_blockhash(Confirmed)).value
        tx = chain.sign([pay(payer, to, 10**7)], [payer], blockhash=latest.blockhash)
        sent = await client.send_transaction(tx, opts=TxOpts(preflight_commitment=Confirmed))
        assert sent.value == tx.signatures[0]
        await chain.wait(str(sent.value), "confirmed", tx)
        statuses = await client.confirm_transaction(sent.value, Confirmed)
        assert statuses.value[0].err is None
        assert (await client.get_balance(to, Confirmed)).value == 10**7
        told = (await client.get_transaction(sent.value, commitment=Confirmed)).value
        assert told.transaction.meta.fee == SIGNATURE_FEE


async def test_every_required_signature_is_paid_for(chain, payer):
    other = await chain.funded(10**9)
    to = Keypair().pubkey()
    told = await chain.ok([pay(payer, to, 10**8), pay(other, to, 10**8)], [payer, other])
    assert told["meta"]["fee"] == 2 * SIGNATURE_FEE


async def test_the_priority_fee_is_price_times_limit_rounded_up(chain, payer):
    limit, price = 1_001, 1_500_001
    told = await chain.ok(
        [set_compute_unit_limit(limit), set_compute_unit_price(price), pay(payer, Keypair().pubkey(), 10**8)], [payer]
    )
    assert told["meta"]["fee"] == SIGNATURE_FEE + -(-limit * price // 10**6)
    assert told["meta"]["computeUnitsConsumed"] == 3 * TRANSFER_UNITS


async def test_the_default_unit_limit_prices_built_in_programs_at_3000_units(chain, payer):
    told = await chain.ok([set_compute_unit_price(10**6), pay(payer, Keypair().pubkey(), 10**8)], [payer])
    assert told["meta"]["fee"] == SIGNATURE_FEE + 2 * 3000


async def test_a_signature_checked_by_the_ed25519_program_is_paid_for(chain, payer):
    signer = Keypair()
    text = b"leaf"
    head = bytes([1, 0]) + b"".join(n.to_bytes(2, "little") for n in (48, 0xFFFF, 16, 0xFFFF, 112, len(text), 0xFFFF))
    check = Instruction(ED25519, head + bytes(signer.pubkey()) + bytes(signer.sign_message(text)) + text, [])
    told = await chain.ok([check], [payer])
    assert told["meta"]["fee"] == 2 * SIGNATURE_FEE
    wrong = Instruction(ED25519, head + bytes(signer.pubkey()) + bytes(signer.sign_message(b"else")) + text, [])
    error = chain.try_send(chain.sign([wrong], [payer]))
    assert error["code"] == -32002
    assert error["data"]["err"] == {"InstructionError": [0, {"Custom": 2}]}


async def test_the_fee_of_a_message_is_known_before_it_is_sent(chain, payer):
    tx = chain.sign([set_compute_unit_price(10**6), pay(payer, Keypair().pubkey(), 10**8)], [payer])
    message = base64.b64encode(bytes(tx.message)).decode()
    told = chain.result("getFeeForMessage", message, {"commitment": "confirmed"})
    assert told["value"] == SIGNATURE_FEE + 2 * 3000
    stale = chain.sign([pay(payer, Keypair().pubkey(), 1)], [payer], blockhash=tx.message.hash())
    message = base64.b64encode(bytes(stale.message)).decode()
    assert chain.result("getFeeForMessage", message, {"commitment": "confirmed"})["value"] is None


async def test_a_failing_transfer_costs_its_fee_and_moves_nothing(chain, payer):
    to = Keypair().pubkey()
    before = chain.balance(payer.pubkey())
    signature = await chain.land([pay(payer, to, 10**15)], [payer], skip_preflight=True)
    told = chain.transaction(signature)
    assert told["meta"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert told["meta"]["status"] == {"Err": told["meta"]["err"]}
    assert chain.balance(payer.pubkey()) == before - SIGNATURE_FEE
    assert chain.balance(to) == 0


async def test_a_program_that_does_not_exist_costs_the_fee_and_nothing_else(chain, payer):
    before = chain.balance(payer.pubkey())
    signature = await chain.land([Instruction(Pubkey.new_unique(), b"", [])], [payer], skip_preflight=True)
    told = chain.transaction(signature)
    assert told["meta"]["err"] == "ProgramAccountNotFound"
    assert told["meta"]["logMessages"] is None
    assert chain.balance(payer.pubkey()) == before - SIGNATURE_FEE


async def test_an_account_left_below_rent_is_refused(chain, payer):
    error = chain.try_send(chain.sign([pay(payer, Keypair().pubkey(), 1000)], [payer]))
    assert error["code"] == -32002
    assert error["data"]["err"] == {"InsufficientFundsForRent": {"account_index": 1}}
    assert error["message"] == (
        "Transaction simulation failed: Transaction results in an account (1) with insufficient funds for rent"
    )


async def test_an_emptied_account_is_gone(chain, payer):
    other = await chain.funded(10**9)
    await chain.ok([pay(other, payer.pubkey(), 10**9)], [payer, other])
    assert chain.account(other.pubkey()) is None
    assert chain.balance(other.pubkey()) == 0


async def test_a_version_0_transaction_lands_and_names_its_version(chain, payer):
    told = await chain.ok([pay(payer, Keypair().pubkey(), 10**8)], [payer], v0=True)
    assert told["version"] == 0
    assert told["transaction"]["message"]["addressTableLookups"] == []
    signature = told["transaction"]["signatures"][0]
    error = chain.error("getTransaction", signature, {"commitment": "confirmed"})
    assert error["code"] == -32015
