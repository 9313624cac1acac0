"""Durable nonces: a transaction that outlives its blockhash runs once."""

import base64
import itertools

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    InitializeNonceAccountParams,
    advance_nonce_account,
    create_account,
    initialize_nonce_account,
)

RECENT = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")


@pytest.fixture
def nonce(hand, tools):
    """A payer with an initialized nonce account."""
    payer, key = hand.funded(), Keypair()
    create = create_account(
        {"from_pubkey": payer.pubkey(), "to_pubkey": key.pubkey(), "lamports": 10**7, "space": 80, "owner": _system()}
    )
    init = initialize_nonce_account(InitializeNonceAccountParams(nonce_pubkey=key.pubkey(), authority=payer.pubkey()))
    hand.land([create, init], payer, key)
    hand.slots()
    return payer, key.pubkey()


def _system():
    return Pubkey.default()


def value(hand, key) -> bytes:
    return hand.bank.vm.get(key).data[40:72]


def signed(hand, tools, payer, key, lamports, blockhash):
    advance = advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=key, authorized_pubkey=payer.pubkey()))
    to = Keypair().pubkey()
    return to, hand.sign([advance, tools.pay(payer, to, lamports)], payer, blockhash=blockhash)


def test_a_transaction_on_a_nonce_runs_after_any_time_and_once(hand, tools, nonce):
    payer, key = nonce
    to, tx = signed(hand, tools, payer, key, tools.SOL, Hash(value(hand, key)))
    hand.slots(400)
    assert hand.bank.process(tx) is None
    assert hand.balance(to) == tools.SOL
    hand.slots(400)
    assert hand.bank.process(tx) == "BlockhashNotFound"


def test_a_failed_transaction_uses_its_nonce_up_too(hand, tools, nonce):
    payer, key = nonce
    before = value(hand, key)
    _, tx = signed(hand, tools, payer, key, 10**15, Hash(before))
    assert hand.bank.process(tx) is None
    assert value(hand, key) != before
    hand.slots(400)
    assert hand.bank.process(tx) == "BlockhashNotFound"


def test_a_nonce_value_never_comes_back_after_a_restart(hand, hands, tools, nonce):
    payer, key = nonce
    seen = {value(hand, key)}
    for turn in range(2):
        node = hands(hand.ledger) if turn else hand
        for _ in range(5):
            _, tx = signed(node, tools, payer, key, tools.SOL, Hash(value(node, key)))
            assert node.bank.process(tx) is None
            assert value(node, key) not in seen
            seen.add(value(node, key))
            node.slots()
        node.close()


def test_someone_elses_nonce_is_no_blockhash(hand, tools, nonce):
    payer, key = nonce
    plain = hand.sign([tools.pay(payer, Keypair().pubkey(), tools.SOL)], payer, blockhash=Hash(value(hand, key)))
    assert hand.bank.process(plain) == "BlockhashNotFound"


def custom(index: int, code: int):
    return {"InstructionError": [index, {"Custom": code}]}


def test_a_nonce_advances_once_in_a_slot_whatever_blockhash_the_transaction_has(hand, tools):
    payer, key, blockhash = hand.funded(), Keypair(), hand.blockhash()
    account = {"to_pubkey": key.pubkey(), "lamports": 10**7, "space": 80, "owner": _system()}
    create = create_account({"from_pubkey": payer.pubkey(), **account})
    init = initialize_nonce_account(InitializeNonceAccountParams(nonce_pubkey=key.pubkey(), authority=payer.pubkey()))
    advance = advance_nonce_account(
        AdvanceNonceAccountParams(nonce_pubkey=key.pubkey(), authorized_pubkey=payer.pubkey())
    )

    lamports = itertools.count()

    def errors(count: int):
        found = []
        for _ in range(count):
            pay = tools.pay(payer, payer.pubkey(), next(lamports))
            tx = hand.sign([advance, pay], payer, blockhash=blockhash)
            assert hand.bank.process(tx) is None
            found.append(hand.bank.statuses.get(bytes(tx.signatures[0])).err)
        return found

    assert hand.bank.process(hand.sign([create, init], payer, key, blockhash=blockhash)) is None
    assert errors(1) == [custom(0, 7)]
    hand.slots()
    # with the blockhash that the account was made with
    assert errors(2) == [None, custom(0, 7)]


def test_who_may_not_advance_a_nonce_cannot_use_it_up(hand, tools, nonce):
    _, key = nonce
    stranger, before = hand.funded(), value(hand, key)
    hand.slots()
    for authority in (stranger, nonce[0]):
        _, tx = signed(hand, tools, stranger, key, 10**15, Hash(before))
        accounts = list(tx.message.instructions[0].accounts)
        assert len(accounts) == 3
        if authority is not stranger:
            advance = Instruction(
                _system(),
                b"\4\0\0\0",
                [
                    AccountMeta(key, False, True),
                    AccountMeta(RECENT, False, False),
                    AccountMeta(authority.pubkey(), False, False),
                ],
            )
            tx = hand.sign([advance, tools.pay(stranger, key, 10**15)], stranger, blockhash=Hash(before))
        assert hand.send(tx)["error"]["data"]["err"] == "BlockhashNotFound"
        assert hand.bank.process(tx) == "BlockhashNotFound"
    assert value(hand, key) == before


def test_the_fee_of_a_transaction_on_a_nonce_is_told_until_the_nonce_is_used(hand, tools, nonce):
    payer, key = nonce
    _, tx = signed(hand, tools, payer, key, tools.SOL, Hash(value(hand, key)))
    text = base64.b64encode(bytes(tx.message)).decode()
    config = {"commitment": "processed"}
    assert hand.result("getFeeForMessage", text, config)["value"] == 5_000
    hand.slots()
    assert hand.bank.process(tx) is None
    assert hand.result("getFeeForMessage", text, config)["value"] is None
