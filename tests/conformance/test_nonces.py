"""Durable nonces: who may use one, when it advances, what it costs."""

import base64

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    InitializeNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    create_account,
    initialize_nonce_account,
    transfer,
)

SYSTEM = Pubkey.default()
RECENT = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")


def pay(sender, to, lamports):
    return transfer(TransferParams(from_pubkey=sender.pubkey(), to_pubkey=to, lamports=lamports))


def advance(key, authority):
    return advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=key, authorized_pubkey=authority))


@pytest.fixture
async def nonce(chain, payer):
    """A nonce account of the payer, and the blockhash it was made with."""
    key, blockhash = Keypair(), chain.blockhash()
    account = {"to_pubkey": key.pubkey(), "lamports": chain.rent(80), "space": 80, "owner": SYSTEM}
    create = create_account({"from_pubkey": payer.pubkey(), **account})
    init = initialize_nonce_account(InitializeNonceAccountParams(nonce_pubkey=key.pubkey(), authority=payer.pubkey()))
    await chain.ok([create, init], [payer, key], blockhash=blockhash)
    await chain.next_slots(2)
    return key.pubkey(), blockhash


def value(chain, key) -> Hash:
    return Hash(chain.data(key)[40:72])


@pytest.mark.parametrize("metas", [0, 1])
async def test_an_advance_without_its_accounts_costs_the_fee_once(chain, payer, metas):
    before = chain.balance(payer.pubkey())
    accounts = [AccountMeta(payer.pubkey(), True, True)] * metas
    tx = chain.sign([Instruction(SYSTEM, b"\4\0\0\0", accounts)], [payer])
    expected = {"InstructionError": [0, "MissingAccount"]}
    assert chain.simulate(tx)["err"] == expected
    for _ in range(3):
        signature = chain.send(tx, skipPreflight=True)
    assert (await chain.wait(signature, "confirmed", tx))["err"] == expected
    assert chain.transaction(signature)["meta"]["fee"] == 5000
    await chain.next_slots(3)
    assert chain.balance(payer.pubkey()) == before - 5000


async def test_a_nonce_advances_with_the_blockhash_it_was_made_with(chain, payer, nonce):
    key, blockhash = nonce
    before = value(chain, key)
    step = advance(key, payer.pubkey())
    assert chain.simulate(chain.sign([step], [payer], blockhash=blockhash))["err"] is None
    await chain.ok([step], [payer], blockhash=blockhash)
    assert value(chain, key) != before


async def test_a_nonce_advances_once_in_a_slot(chain, payer, nonce):
    key, _ = nonce
    tx = chain.sign([advance(key, payer.pubkey())] * 2, [payer])
    assert chain.simulate(tx)["err"] == {"InstructionError": [1, {"Custom": 7}]}


async def test_a_failed_transaction_uses_its_nonce_up(chain, payer, nonce):
    key, _ = nonce
    before = value(chain, key)
    tx = chain.sign([advance(key, payer.pubkey()), pay(payer, key, 10**17)], [payer], blockhash=before)
    signature = chain.send(tx, skipPreflight=True)
    assert (await chain.wait(signature, "confirmed", tx))["err"] == {"InstructionError": [1, {"Custom": 1}]}
    assert value(chain, key) != before


async def test_the_fee_of_a_transaction_on_a_nonce_is_told(chain, payer, nonce):
    key, _ = nonce
    config = {"commitment": "confirmed"}
    for blockhash, fee in ((value(chain, key), 5000), (Hash.new_unique(), None)):
        tx = chain.sign([advance(key, payer.pubkey()), pay(payer, key, 1)], [payer], blockhash=blockhash)
        message = base64.b64encode(bytes(tx.message)).decode()
        assert chain.result("getFeeForMessage", message, config)["value"] == fee


@pytest.mark.parametrize("how", ["authority does not sign", "another signs", "read only"])
async def test_who_may_not_advance_a_nonce_cannot_use_it(chain, payer, nonce, how):
    key, _ = nonce
    before, stranger = value(chain, key), await chain.funded()
    authority = stranger.pubkey() if how == "another signs" else payer.pubkey()
    signs = how != "authority does not sign"
    accounts = [
        AccountMeta(key, False, how != "read only"),
        AccountMeta(RECENT, False, False),
        AccountMeta(authority, signs, False),
    ]
    signers = [stranger, payer] if authority == payer.pubkey() and signs else [stranger]
    tx = chain.sign([Instruction(SYSTEM, b"\4\0\0\0", accounts)], signers, blockhash=before)
    value_seen = chain.simulate(tx)
    assert (value_seen["err"], value_seen["fee"]) == ("BlockhashNotFound", None)
    chain.send(tx, skipPreflight=True)
    await chain.next_slots(4)
    assert chain.status(str(tx.signatures[0])) is None
    assert value(chain, key) == before
