"""Clock and slots moved forward together."""

import pytest
from m0localnet.commitment import Commitment
from m0localnet.records import decode_tx
from m0localnet.vm import CLOCK
from solders.clock import Clock
from solders.keypair import Keypair


@pytest.fixture
def admin(hands):
    """A node whose time may be moved, with slots behind it."""
    hand = hands(allow_admin=True)
    hand.slots(8)
    return hand


def chain_clock(hand) -> Clock:
    return Clock.from_bytes(hand.bank.vm.get(CLOCK).data)


class Log:
    """A subscriber that remembers."""

    def __init__(self):
        self.started, self.levels = [], {level: [] for level in Commitment}

    def received(self, _signature):
        pass

    landed = received

    def reached(self, level, slot):
        self.levels[level].append(slot.number)

    def slot_started(self, slot, parent, _root):
        self.started.append((slot, parent))


@pytest.mark.parametrize(
    ("ms", "slots"), [(1, 1), (400, 1), (401, 2), (60_000, 150), (240_000, 600), (86_400_000, 216_000)]
)
def test_clock_and_slots_move_together(admin, tools, ms, slots):
    before, slot = admin.bank.clock.now_ms(), admin.bank.running.number
    state = admin.result("m0_warp", {"ms": ms})
    assert admin.bank.clock.now_ms() == before + ms
    assert state["slot"] == admin.bank.running.number == slot + slots
    assert state["unix_timestamp"] == (before + ms) // 1000
    clock = chain_clock(admin)
    assert (clock.slot, clock.unix_timestamp) == (slot + slots, (before + ms) // 1000)
    assert clock.epoch == (slot + slots) // 432_000
    levels = [admin.result("getSlot", {"commitment": level.label}) for level in Commitment]
    # what an ordinary node has at rest: one slot until confirmed, four until finalized
    assert levels == [slot + slots, slot + slots - 2, slot + slots - 5]
    times = [block.time for block in admin.node.store.last_blocks(400)]
    assert times == sorted(times)
    admin.clock.advance(400)
    admin.slots(3)
    assert admin.bank.running.number == slot + slots + 3


def test_small_warps_add_up_to_the_millisecond(admin):
    before = admin.bank.clock.now_ms()
    for _ in range(25):
        admin.result("m0_warp", 130)
    assert admin.bank.clock.now_ms() == before + 25 * 130
    assert chain_clock(admin).unix_timestamp == (before + 25 * 130) // 1000


@pytest.mark.parametrize(("slots", "good"), [(149, True), (150, True), (151, False), (5_000, False)])
def test_a_blockhash_is_as_old_as_the_slots_that_were_warped_over(admin, tools, slots, good):
    payer, config = admin.funded(), {"commitment": "processed"}
    blockhash = admin.blockhash()
    last = admin.result("getLatestBlockhash", config)["value"]["lastValidBlockHeight"]
    tx = admin.sign([tools.pay(payer, Keypair().pubkey(), tools.SOL)], payer)
    admin.result("m0_warp", slots * 400)
    assert admin.result("isBlockhashValid", str(blockhash), config)["value"] is good
    assert (admin.result("getBlockHeight", config) <= last) is good
    assert admin.bank.process(tx) == (None if good else "BlockhashNotFound")
    for level in ("processed", "confirmed", "finalized"):
        told = admin.result("getLatestBlockhash", {"commitment": level})["value"]
        assert admin.result("getBlockHeight", config) <= told["lastValidBlockHeight"]
        assert admin.result("isBlockhashValid", told["blockhash"], config)["value"] is True


def test_what_was_sent_before_a_warp_is_final_after_it(admin, tools, hands, tmp_path):
    payer, to = admin.funded(), Keypair().pubkey()
    signature = admin.land([tools.pay(payer, to, tools.SOL)], payer)
    log = Log()
    admin.bank.watch(log)
    slot = admin.bank.running.number
    admin.result("m0_warp", 3_600_000)
    assert admin.balance(to, Commitment.FINALIZED) == tools.SOL
    assert admin.bank.statuses.get(signature) is None
    assert admin.node.store.transaction(signature).slot == slot
    # every slot that has a block is told once, in order, at each level; the running slot ends as ever
    assert log.started[0] == (slot + 1, slot)
    assert [parent for _, parent in log.started] == [slot, *(number for number, _ in log.started[:-1])]
    assert log.levels[Commitment.PROCESSED] == [parent for _, parent in log.started]
    for level in (Commitment.CONFIRMED, Commitment.FINALIZED):
        told = log.levels[level]
        assert slot in told
        assert told == sorted(told)
        assert told[-1] == admin.bank.slot_at(level)
    assert len(log.started) == 300


def test_slots_without_a_block_are_skipped_for_those_who_ask(admin):
    slot = admin.bank.running.number
    admin.result("m0_warp", 3_600_000)
    config = {"commitment": "confirmed"}
    newest = admin.bank.confirmed
    assert admin.call("getBlock", slot + 1_000, config)["error"]["code"] == -32007
    blocks = admin.result("getBlocks", slot, newest, config)
    assert blocks[0] == slot
    assert blocks[-1] == newest
    assert len(blocks) == 299
    after = admin.result("getBlock", blocks[2], config)
    assert after["parentSlot"] == blocks[1]
    assert admin.result("getBlocksWithLimit", slot + 2, 3, config) == blocks[2:5]


def test_a_restart_has_the_warped_clock_and_slot(admin, hands, tools, tmp_path):
    admin.result("m0_warp", 7 * 86_400_000 + 123)
    admin.result("m0_warp", 1_777)
    slot, now, blockhash = admin.bank.running.number, admin.bank.clock.now_ms(), admin.blockhash()
    crashed = hands(admin.crash(tmp_path / "crash"), allow_admin=True)
    admin.close()
    stopped = hands(admin.ledger, allow_admin=True)
    for again in (crashed, stopped):
        # the machine's clock is the one that the nodes began with
        assert again.bank.clock.now_ms() == now
        assert slot <= again.bank.running.number <= slot + 30
        assert chain_clock(again).unix_timestamp == now // 1000
        assert again.result("isBlockhashValid", str(blockhash), {"commitment": "processed"})["value"] is True
        assert again.bank.vm._epoch_start == admin.bank.vm._epoch_start


def test_a_deferred_transaction_runs_in_the_slot_after_its_own(hands, memo_so, tools):
    from m0localnet.fixtures import Fixtures
    from solders.instruction import Instruction
    from solders.pubkey import Pubkey

    hand = hands(allow_admin=True)
    payer, program, begin = hand.funded(), Pubkey.new_unique(), Fixtures()
    begin.add_program(str(program), memo_so, None)
    hand.bank.set_accounts(begin.accounts)
    slot, tx = hand.bank.running.number, hand.sign([Instruction(program, b"hello", [])], payer)
    assert hand.bank.process(tx) is None
    hand.result("m0_warp", 3_600_000)
    [record] = list(hand.node.store.transactions(slot + 1, slot + 1))
    assert (record.signature, record.err) == (bytes(tx.signatures[0]), None)
    assert decode_tx(hand.node.store._reader.execute("SELECT value FROM transactions").fetchall()[-1][0]) == record


@pytest.mark.parametrize("ms", [0, -1, 2**60, "1", None, True, 1.5])
def test_a_warp_goes_forward_by_whole_milliseconds(admin, ms):
    before = admin.bank.running.number
    assert admin.call("m0_warp", ms)["error"]["code"] == -32602
    assert admin.bank.running.number == before


def test_without_the_flag_nothing_is_warped_or_set(hand):
    for method, params in (("m0_warp", [1]), ("m0_setAccount", ["1" * 32, None])):
        assert hand.call(method, *params)["error"]["code"] == -32601


def test_a_ledger_whose_clock_knew_whole_seconds_only_is_read(hands, hand):
    import msgspec

    hand.slots(30)
    state = hand.node.store.state()
    old = {name: getattr(state, name) for name in ("slot", "blockhash", "transactions")}
    raw = msgspec.msgpack.encode({**old, "clock_offset": 90, "nonces": 7})
    hand.close()
    from m0localnet.store import Store

    store = Store(hand.ledger)
    store._writer.execute("UPDATE meta SET value = ? WHERE name = 'state'", (raw,))
    store.close()
    again = hands(hand.ledger)
    assert again.bank.clock.offset_ms == 90_000
