"""Durable nonces: a transaction that outlives its blockhash runs once."""

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.system_program import (
    AdvanceNonceAccountParams,
    InitializeNonceAccountParams,
    advance_nonce_account,
    create_account,
    initialize_nonce_account,
)


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
    from solders.pubkey import Pubkey

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
