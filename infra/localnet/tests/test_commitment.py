"""Slots, commitment and what each level sees."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from m0localnet.commitment import Commitment
from solders.keypair import Keypair

LEVELS = (Commitment.PROCESSED, Commitment.CONFIRMED, Commitment.FINALIZED)


def test_a_transaction_is_processed_at_once_confirmed_after_the_next_slot_and_final_after_n(hand, tools):
    payer, to = hand.funded(), Keypair().pubkey()
    hand.slots(6)
    signature = hand.land([tools.pay(payer, to, tools.SOL)], payer)
    seen = []
    for _ in range(7):
        seen.append(sum(hand.balance(to, level) == tools.SOL for level in LEVELS))
        hand.slots()
    # processed in its own slot and until the next one has ended; finality is 4 ended slots after its own.
    assert seen == [1, 1, 2, 2, 2, 3, 3]
    assert hand.bank.statuses.get(signature).slot == 7


@settings(max_examples=25)
@given(
    st.lists(
        st.one_of(st.just("slot"), st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 4))), max_size=40
    )
)
def test_a_state_read_back_is_the_state_that_was(tools, steps):
    with tempfile.TemporaryDirectory() as directory:
        hand = tools.Hand(Path(directory))
        keys = [hand.funded() for _ in range(4)]
        history = {}
        try:
            for turn, step in enumerate([*steps, "slot"]):
                if step == "slot":
                    number = hand.bank.running.number
                    hand.slots()
                    history[number] = [hand.bank.vm.balance(key.pubkey()) for key in keys]
                    for slot in range(hand.bank.finalized, number + 1):
                        if slot in history:
                            read = [hand.bank.account(key.pubkey(), slot) for key in keys]
                            assert [a.lamports if a else 0 for a in read] == history[slot], slot
                else:
                    source, target, amount = step
                    hand.land([tools.pay(keys[source], keys[target].pubkey(), amount * 10**6 + turn)], keys[source])
        finally:
            hand.close()


def test_program_accounts_are_read_at_the_asked_commitment(hand, tools):
    from solders.system_program import CreateAccountParams, create_account

    payer, owner = hand.funded(), Keypair().pubkey()
    hand.slots(6)

    def make():
        key = Keypair()
        create = create_account(
            CreateAccountParams(
                from_pubkey=payer.pubkey(), to_pubkey=key.pubkey(), lamports=tools.SOL, space=4, owner=owner
            )
        )
        hand.land([create], payer, key)
        return str(key.pubkey())

    def seen(level):
        rows = hand.result("getProgramAccounts", str(owner), {"commitment": level, "encoding": "base64"})
        return {row["pubkey"] for row in rows}

    first = make()
    hand.slots(2)
    second = make()
    assert seen("processed") == {first, second}
    assert seen("confirmed") == {first}
    assert seen("finalized") == set()


def test_a_blockhash_is_usable_while_150_blocks_follow_it(hand, tools):
    payer = hand.funded()
    hand.slots()
    blockhash = hand.blockhash()
    latest = hand.result("getLatestBlockhash", {"commitment": "processed"})["value"]
    assert latest["blockhash"] == str(blockhash)
    hand.slots(150)
    assert hand.result("getBlockHeight", {"commitment": "processed"}) == latest["lastValidBlockHeight"]
    assert hand.result("isBlockhashValid", str(blockhash), {"commitment": "processed"})["value"] is True
    early = hand.sign([tools.pay(payer, Keypair().pubkey(), tools.SOL)], payer, blockhash=blockhash)
    assert hand.bank.process(early) is None
    hand.slots()
    late = hand.sign([tools.pay(payer, Keypair().pubkey(), tools.SOL)], payer, blockhash=blockhash)
    assert hand.bank.process(late) == "BlockhashNotFound"
    assert hand.bank.process(early) == "AlreadyProcessed"


def test_the_clock_follows_real_time_and_the_admins_offset(hands, tools):
    hand = hands(allow_admin=True)

    def clock() -> int:
        data = hand.bank.vm.get(_clock_key()).data
        return int.from_bytes(data[32:40], "little")

    hand.slots()
    assert clock() == tools.START
    hand.clock.advance(5_000)
    hand.slots()
    assert clock() == tools.START + 5
    assert hand.result("m0_advanceClock", {"seconds": 3600})["unix_timestamp"] == tools.START + 3605
    assert clock() == tools.START + 3605
    hand.clock.advance(1_000)
    hand.slots()
    assert clock() == tools.START + 3606
    assert hand.result("m0_setClock", {"unix_timestamp": 2_000_000_000})["offset_seconds"] > 0
    assert clock() == 2_000_000_000
    assert hand.call("m0_advanceClock", {"seconds": -1})["error"]["code"] == -32602


def _clock_key():
    from m0localnet.vm import CLOCK

    return CLOCK


def test_without_the_flag_the_admin_methods_do_not_exist(hand):
    for method in ("m0_advanceClock", "m0_setClock", "m0_clock"):
        assert hand.call(method, 1)["error"]["code"] == -32601


def test_block_times_and_slots_never_go_back(hand):
    times = []
    for passes, step in ((1, 0), (0, 0), (3, 0), (0, -60), (0, 0), (2, 0), (70, 0)):
        hand.clock.advance(passes * 1000)
        hand.clock.step(step * 1000)
        hand.slots()
        times.append(hand.result("getBlockTime", hand.bank.running.number - 1))
    assert times == sorted(times)
    hand.clock.advance(240_000)
    hand.slots(2)
    assert hand.result("getBlockTime", hand.bank.running.number - 1) == hand.clock.now_ms() // 1000


def test_a_step_of_the_machines_clock_moves_the_chains_by_a_quarter_of_the_time_that_passes(hand):
    before = hand.clock.now_ms() // 1000
    for step, least, most in ((600, 100, 125), (-1200, 175, 200), (600, 300, 300)):
        hand.clock.step(step * 1000)
        hand.clock.advance(100_000)
        hand.slots(2)
        assert before + least <= hand.result("getBlockTime", hand.bank.running.number - 1) <= before + most
