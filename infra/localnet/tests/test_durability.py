"""What is on disk: restarts, crashes, torn tails, full disks."""

import random
import shutil
from pathlib import Path

import pytest
from m0localnet import store as store_module
from m0localnet.commitment import Commitment
from m0localnet.errors import LedgerError
from m0localnet.store import Store
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import CreateAccountParams, create_account

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
ATA = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")


def test_a_restart_keeps_everything(hands, tools, tmp_path):
    first = hands(allow_admin=True)
    payer, to = first.funded(), Keypair().pubkey()
    first.slots(2)
    first.result("m0_advanceClock", 1000)
    signature = first.land([tools.pay(payer, to, tools.SOL)], payer)
    failed = first.land([tools.pay(payer, to, 10**15)], payer)
    first.slots(3)
    text = str(Signature.from_bytes(signature))
    config = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    told = first.result("getTransaction", text, config)
    blockhash = first.blockhash()
    before = {
        "genesis": first.result("getGenesisHash"),
        "identity": first.result("getIdentity"),
        "count": first.result("getTransactionCount"),
        "time": first.result("getBlockTime", told["slot"]),
        "block": first.result("getBlock", told["slot"], config),
    }
    slot = first.bank.running.number
    first.close()

    second = hands()
    hashes = {number: bytes(value) for number, value in second.bank.vm._slot_hashes}
    assert hashes[told["slot"]] == second.node.store.block(told["slot"]).blockhash
    assert second.bank.vm._epoch_start == tools.START
    assert second.bank.running.number > slot
    assert second.balance(to, Commitment.FINALIZED) == tools.SOL
    assert second.result("getTransaction", text, config) == told
    assert before == {
        "genesis": second.result("getGenesisHash"),
        "identity": second.result("getIdentity"),
        "count": second.result("getTransactionCount"),
        "time": second.result("getBlockTime", told["slot"]),
        "block": second.result("getBlock", told["slot"], config),
    }
    statuses = second.result("getSignatureStatuses", [text, str(Signature.from_bytes(failed))])["value"]
    assert statuses[0]["confirmationStatus"] == "finalized"
    assert statuses[1]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    rows = second.result("getSignaturesForAddress", str(to), {"commitment": "confirmed"})
    assert [row["err"] is None for row in rows] == [False, True]
    assert second.bank.clock.offset_ms == 1_000_000
    # A blockhash handed out before is still good, a transaction executed before still known.
    assert second.bank.process(second.sign([tools.pay(payer, to, tools.SOL)], payer, blockhash=blockhash)) is None


def test_blockhashes_of_unwritten_empty_slots_survive_a_crash(hands, tools, tmp_path):
    first = hands()
    payer = first.funded()
    first.slots(3)
    first.slots(11)  # empty, not written yet
    blockhash = first.blockhash()
    second = hands(first.crash(tmp_path / "crash"))
    to = Keypair().pubkey()
    assert second.bank.process(second.sign([tools.pay(payer, to, tools.SOL)], payer, blockhash=blockhash)) is None
    assert second.bank.running.number >= first.bank.running.number


def test_a_crash_at_any_byte_of_the_journal_leaves_a_state_that_was(hands, tools, tmp_path):
    first = hands()
    payer = first.funded(1000 * tools.SOL)
    targets = [Keypair().pubkey() for _ in range(8)]
    keys = (payer.pubkey(), *targets)
    rng = random.Random(7)
    states, sizes = {0: (0,) * len(keys)}, {}
    for _ in range(14):
        for _ in range(rng.randrange(1, 4)):
            first.land([tools.pay(payer, rng.choice(targets), rng.randrange(10**7, 10**8))], payer)
        first.slots()
        slot = first.bank.running.number - 1
        states[slot] = tuple(first.bank.vm.balance(key) for key in keys)
        sizes[slot] = (first.ledger / "ledger.sqlite-wal").stat().st_size
    image = first.crash(tmp_path / "image")
    whole = (image / "ledger.sqlite-wal").read_bytes()
    assert len(whole) > 50_000
    found_slots = set()
    for trial in range(40):
        cut = rng.randrange(sizes[1], len(whole) + 1)
        torn = bytearray(whole[:cut])
        intact = cut
        if trial % 3 == 0:
            intact = cut - rng.randrange(1, 5000)
            torn[intact] ^= 0xFF
        copy = tmp_path / f"cut{trial}"
        shutil.copytree(image, copy)
        (copy / "ledger.sqlite-wal").write_bytes(torn)
        store = Store(copy)
        found = store.state().slot
        accounts = {key: account.lamports for key, account in store.accounts()}
        blocks = [block.slot for block in store.last_blocks(100)]
        records = list(store.transactions(0, 100))
        store.close()
        assert tuple(accounts.get(key, 0) for key in keys) == states[found]
        assert blocks == list(range(found + 1))
        assert {record.slot for record in records} == set(range(1, found + 1))
        assert found >= max((slot for slot, size in sizes.items() if size <= intact), default=0)
        found_slots.add(found)
        if trial % 8 == 0:
            node = hands(copy)
            assert tuple(node.bank.vm.balance(key) for key in keys) == states[found]
            node.close()
    assert len(found_slots) > 5


def test_a_full_disk_refuses_transactions_and_recovers(hand, tools):
    payer, to = hand.funded(), Keypair().pubkey()
    hand.slots(4)
    confirmed = hand.bank.confirmed
    pages = hand.node.store._writer.execute("PRAGMA page_count").fetchone()[0]
    hand.node.store._writer.execute(f"PRAGMA max_page_count={pages}")
    for extra in range(200):
        reply = hand.send(hand.sign([tools.pay(payer, to, tools.SOL // 100 + extra)], payer))
        if "error" in reply:
            break
        hand.slots()
    assert reply["error"]["code"] == -32005
    assert "disk is full" in reply["error"]["message"]
    assert "free disk space" in reply["error"]["message"]
    assert hand.call("getHealth")["error"]["code"] == -32005
    stuck = hand.bank.confirmed
    hand.slots(20)
    assert hand.bank.confirmed == stuck, "a slot that is not on disk must not become confirmed"
    hand.node.store._writer.execute("PRAGMA max_page_count=1000000")
    hand.slots(3)
    assert hand.result("getHealth") == "ok"
    assert hand.bank.confirmed > stuck >= confirmed
    assert "result" in hand.send(hand.sign([tools.pay(payer, to, tools.SOL)], payer))
    hand.slots(3)
    assert hand.balance(to, Commitment.CONFIRMED) > tools.SOL


def test_a_ledger_in_use_is_refused(hand, tools):
    with pytest.raises(LedgerError, match="in use by another localnet"):
        tools.Hand(hand.ledger)


def test_a_ledger_that_is_no_database_is_named(tmp_path):
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(LedgerError, match="cannot open the ledger"):
        Store(tmp_path)


def test_a_ledger_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot use the ledger directory"):
        Store(tmp_path / "file" / "ledger")


def code(address: Pubkey) -> bytes:
    return LiteSVM().get_account(address).data


def deploy(hand, payer: Keypair, elf: bytes, room: int) -> Keypair:
    program = Keypair()
    buffer = buffer_of(hand, payer, elf)
    data = Pubkey.find_program_address([bytes(program.pubkey())], LOADER)[0]
    create = create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(), to_pubkey=program.pubkey(), lamports=10**7, space=36, owner=LOADER
        )
    )
    accounts = [
        AccountMeta(payer.pubkey(), True, True),
        AccountMeta(data, False, True),
        AccountMeta(program.pubkey(), False, True),
        AccountMeta(buffer, False, True),
        AccountMeta(Pubkey.from_string("SysvarRent111111111111111111111111111111111"), False, False),
        AccountMeta(Pubkey.from_string("SysvarC1ock11111111111111111111111111111111"), False, False),
        AccountMeta(Pubkey.default(), False, False),
        AccountMeta(payer.pubkey(), True, False),
    ]
    go = Instruction(LOADER, (2).to_bytes(4, "little") + room.to_bytes(8, "little"), accounts)
    hand.land([create, go], payer, program)
    return program


def buffer_of(hand, payer: Keypair, elf: bytes) -> Pubkey:
    key = Keypair()
    create = create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(),
            to_pubkey=key.pubkey(),
            lamports=hand.bank.vm.rent_exempt_minimum(37 + len(elf)),
            space=37 + len(elf),
            owner=LOADER,
        )
    )
    init = Instruction(
        LOADER, bytes(4), [AccountMeta(key.pubkey(), False, True), AccountMeta(payer.pubkey(), False, False)]
    )
    hand.land([create, init], payer, key)
    for offset in range(0, len(elf), 900):
        chunk = elf[offset : offset + 900]
        body = (1).to_bytes(4, "little") + offset.to_bytes(4, "little") + len(chunk).to_bytes(8, "little") + chunk
        accounts = [AccountMeta(key.pubkey(), False, True), AccountMeta(payer.pubkey(), True, False)]
        hand.land([Instruction(LOADER, body, accounts)], payer)
    return key.pubkey()


def upgrade(hand, payer: Keypair, program: Pubkey, elf: bytes) -> None:
    data = Pubkey.find_program_address([bytes(program)], LOADER)[0]
    accounts = [
        AccountMeta(data, False, True),
        AccountMeta(program, False, True),
        AccountMeta(buffer_of(hand, payer, elf), False, True),
        AccountMeta(payer.pubkey(), False, True),
        AccountMeta(Pubkey.from_string("SysvarRent111111111111111111111111111111111"), False, False),
        AccountMeta(Pubkey.from_string("SysvarC1ock11111111111111111111111111111111"), False, False),
        AccountMeta(payer.pubkey(), True, False),
    ]
    hand.land([Instruction(LOADER, (3).to_bytes(4, "little"), accounts)], payer)


def outcome(hand, payer, program):
    signature = hand.land([Instruction(program, b"hello", [])], payer)
    hand.slots(2)
    return hand.node.store.transaction(signature)


def test_programs_deployed_and_upgraded_run_the_same_after_a_restart(hands, tools):
    memo, ata = code(MEMO), code(ATA)
    first = hands()
    payer = first.funded(100 * tools.SOL)
    program = deploy(first, payer, memo, len(ata)).pubkey()
    stays = deploy(first, payer, memo, len(memo)).pubkey()
    first.slots()
    before = outcome(first, payer, program)
    assert before.err is None
    upgrade(first, payer, program, ata)
    first.slots()
    upgraded = outcome(first, payer, program)
    assert upgraded.err == {"InstructionError": [0, "InvalidInstructionData"]}
    first.close()
    second = hands()
    again, other = outcome(second, payer, program), outcome(second, payer, stays)
    assert (again.err, again.units) == (upgraded.err, upgraded.units)
    assert (other.err, other.units) == (None, before.units)
    upgrade(second, payer, program, memo)
    second.slots()
    assert outcome(second, payer, program).units == before.units


def test_new_code_runs_from_the_next_slot_on(hand, tools):
    payer = hand.funded(100 * tools.SOL)
    program = deploy(hand, payer, code(MEMO), len(code(MEMO))).pubkey()
    slot = hand.bank.running.number
    tx = hand.sign([Instruction(program, b"hello", [])], payer)
    assert hand.bank.process(tx) is None
    assert hand.bank.statuses.get(bytes(tx.signatures[0])) is None
    hand.slots()
    status = hand.bank.statuses.get(bytes(tx.signatures[0]))
    assert (status.slot, status.err) == (slot + 1, None)


def test_old_empty_blocks_are_dropped_and_others_kept(hand, tools, monkeypatch):
    monkeypatch.setattr(store_module, "EMPTY_BLOCKS_KEPT", 100)
    monkeypatch.setattr(store_module, "PRUNE_EVERY_SLOTS", 50)
    hand.node.store._prune_at = 0
    payer = hand.funded()
    hand.slots(10)
    hand.land([tools.pay(payer, Keypair().pubkey(), tools.SOL)], payer)
    busy = hand.bank.running.number
    hand.slots(400)
    newest = hand.bank.confirmed
    kept = hand.result("getBlocks", 0, newest, {"commitment": "confirmed"})
    assert kept[:3] == [0, 1, busy]
    assert len(kept) < 200
    assert kept[-100:] == list(range(newest - 99, newest + 1))
    assert hand.call("getBlock", busy + 1)["error"]["code"] == -32007
    assert hand.result("getFirstAvailableBlock") == 0


def test_the_ledger_directory_holds_nothing_but_the_database(hand):
    assert {file.name.split("-")[0] for file in Path(hand.ledger).iterdir()} == {"lock", "ledger.sqlite"}


def test_a_moved_clock_is_written_at_the_end_of_its_slot(hands, tools, tmp_path):
    first = hands(allow_admin=True)
    first.slots(3)
    first.result("m0_advanceClock", {"seconds": 86_400})
    first.slots()
    second = hands(first.crash(tmp_path / "crash"))
    assert second.bank.clock.unix_time() == tools.START + 86_400
