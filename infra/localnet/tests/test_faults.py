"""What goes wrong over one transaction stays with that transaction."""

import pytest
from m0localnet import execution
from m0localnet.commitment import Commitment
from m0localnet.fixtures import Fixtures
from m0localnet.store import Store
from m0localnet.vm import VmFault
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

SYSTEM = Pubkey.default()
LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")


class PanicException(BaseException):
    """What a panic of the Rust side looks like: it is no Exception."""


def extend(program: Pubkey, payer: Pubkey) -> Instruction:
    """Give a program more room, which changes its program data and needs nobody's leave."""
    data = Pubkey.find_program_address([bytes(program)], LOADER)[0]
    metas = [
        AccountMeta(data, False, True),
        AccountMeta(program, False, True),
        AccountMeta(SYSTEM, False, False),
        AccountMeta(payer, True, True),
    ]
    return Instruction(LOADER, b"\6\0\0\0" + (10_240).to_bytes(4, "little"), metas)


def test_a_deferred_transaction_that_cannot_run_does_not_end_the_slots(hands, memo_so):
    program, begin = Keypair().pubkey(), Fixtures()
    begin.add_program(str(program), memo_so, None)
    hand = hands(fixtures=begin)
    payer = hand.funded()
    hand.slots(2)
    hand.land([extend(program, payer.pubkey())], payer)
    limit = set_compute_unit_limit(9)
    missing = Instruction(program, b"", [AccountMeta(Pubkey.new_unique(), False, False)])
    waiting = [
        hand.sign([limit, Instruction(program, b"hello", [])], payer),
        hand.sign([set_compute_unit_price(10**15), missing], payer),
    ]
    for tx in waiting:
        assert hand.bank.process(tx) is None
        assert bytes(tx.signatures[0]) not in hand.bank.statuses
    hand.bank._deferred.insert(0, hand.sign([limit, limit], payer))  # as if it had passed when it came
    slot = hand.bank.running.number
    hand.slots(3)
    assert hand.bank.running.number == slot + 3
    assert hand.bank.statuses.get(bytes(waiting[0].signatures[0])).slot == slot + 1
    assert bytes(waiting[1].signatures[0]) not in hand.bank.statuses


@pytest.mark.parametrize(
    ("instructions", "words"),
    [
        ([set_compute_unit_limit(9)] * 2, "Transaction contains a duplicate instruction (1) that is not allowed"),
        ([Instruction(BUDGET, b"\2", [])], "Error processing Instruction 0: invalid instruction data"),
        ([Instruction(BUDGET, b"", [])], "Error processing Instruction 0: invalid instruction data"),
        ([Instruction(BUDGET, bytes(9), [])], "Error processing Instruction 0: invalid instruction data"),
    ],
)
def test_a_compute_budget_that_cannot_be_read_is_a_fault_of_the_request(hand, instructions, words):
    tx = hand.sign(instructions, hand.funded())
    for reply in (hand.send(tx), hand.send(tx, skipPreflight=True)):
        assert (reply["error"]["code"], reply["error"]["message"]) == (-32602, f"invalid transaction: {words}")
    assert hand.bank.process(tx) is not None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\1\1" + bytes(3), "{'InstructionError': [0, 'InvalidInstructionData']}"),
        (b"\4" + bytes(4), "InvalidLoadedAccountsDataSizeLimit"),
    ],
)
def test_a_compute_budget_of_impossible_size_is_dropped_for_what_it_is(hand, data, reason):
    payer = hand.funded()
    before, tx = hand.balance(payer.pubkey()), hand.sign([Instruction(BUDGET, data, [])], payer)
    assert hand.bank.process(tx) == reason
    assert hand.balance(payer.pubkey()) == before


@pytest.mark.parametrize("metas", [0, 1])
def test_a_nonce_that_is_advanced_without_its_accounts_costs_the_fee_once(hand, metas):
    payer = hand.funded()
    before, count = hand.balance(payer.pubkey()), hand.bank.transaction_count
    advance = Instruction(SYSTEM, b"\4\0\0\0", [AccountMeta(payer.pubkey(), True, True)] * metas)
    tx = hand.sign([advance], payer)
    for _ in range(3):
        assert "result" in hand.send(tx, skipPreflight=True)
    assert hand.balance(payer.pubkey()) == before - 5_000
    assert hand.bank.transaction_count == count + 1
    assert hand.bank.statuses.get(bytes(tx.signatures[0])).err == {"InstructionError": [0, "MissingAccount"]}
    hand.slots(2)
    assert hand.balance(payer.pubkey(), Commitment.CONFIRMED) == before - 5_000
    assert hand.node.store.transaction(bytes(tx.signatures[0])).fee == 5_000


@pytest.mark.parametrize("place", ["encode_record", "note_changes", "TxRecord"])
def test_a_fault_after_the_execution_undoes_it(hand, tools, monkeypatch, capfd, place):
    payer, to = hand.funded(), Keypair().pubkey()
    hand.slots()
    before, count = hand.balance(payer.pubkey()), hand.bank.transaction_count

    def fail(*_args, **_fields):
        raise RuntimeError("the books are shut")

    tx = hand.sign([tools.pay(payer, to, tools.SOL)], payer)
    with monkeypatch.context() as patch:
        patch.setattr(execution, place, fail)
        assert hand.bank.process(tx) == "RuntimeError: the books are shut"
    assert (hand.balance(payer.pubkey()), hand.balance(to), hand.bank.transaction_count) == (before, 0, count)
    assert bytes(tx.signatures[0]) not in hand.bank.statuses
    assert "".join(capfd.readouterr()).count("refused by a fault of this node") == 1
    hand.slots(3)
    assert hand.balance(to, Commitment.CONFIRMED) == 0
    # the same bytes are good once the fault is gone
    assert hand.bank.process(tx) is None
    assert hand.balance(to) == tools.SOL


def test_a_panic_of_the_machine_is_a_refusal(hand, tools, monkeypatch):
    payer = hand.funded()
    tx = hand.sign([tools.pay(payer, Keypair().pubkey(), tools.SOL)], payer)
    before = hand.balance(payer.pubkey())

    class Panicking:
        def send_transaction(self, _tx):
            raise PanicException("index out of bounds")

        simulate_transaction = send_transaction

        def __getattr__(self, name):
            return getattr(real, name)

    real = hand.bank.vm._svm
    monkeypatch.setattr(hand.bank.vm, "_svm", Panicking())
    assert "the virtual machine panicked: index out of bounds" in hand.bank.process(tx)
    with pytest.raises(VmFault):
        hand.bank.simulate(tx, hand.bank.running.number)
    assert hand.send(tx)["error"]["code"] == -32603
    monkeypatch.undo()
    assert hand.balance(payer.pubkey()) == before
    assert hand.bank.process(tx) is None


def test_a_subscriber_that_fails_changes_nothing_on_the_chain(hand, tools, capfd):
    class Failing:
        def fail(self, *_told):
            raise RuntimeError("no ears")

        received = landed = reached = slot_started = fail

    hand.bank.watch(Failing())
    payer, to = hand.funded(), Keypair().pubkey()
    assert "result" in hand.send(hand.sign([tools.pay(payer, to, tools.SOL)], payer))
    hand.slots(3)
    assert hand.balance(to, Commitment.CONFIRMED) == tools.SOL
    assert "subscribers not told" in "".join(capfd.readouterr())


def test_a_write_that_fails_for_any_reason_refuses_transactions_until_one_succeeds(hand, tools, monkeypatch):
    payer, to = hand.funded(), Keypair().pubkey()
    hand.slots()
    assert "result" in hand.send(hand.sign([tools.pay(payer, to, tools.SOL)], payer))

    def fail(*_):
        raise TypeError("cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_write", fail)
        hand.slots(2)
        assert hand.call("getHealth")["error"]["code"] == -32005
    hand.slots(3)
    assert hand.result("getHealth") == "ok"
    assert hand.balance(to, Commitment.CONFIRMED) == tools.SOL


def test_wrapped_sol_has_its_mint(hand):
    told = hand.result("getTokenSupply", "So11111111111111111111111111111111111111112", {"commitment": "processed"})
    assert told["value"] == {"amount": "0", "decimals": 9, "uiAmount": 0.0, "uiAmountString": "0"}
