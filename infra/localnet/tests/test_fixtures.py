"""Accounts and programs that a chain begins with, and accounts set while it runs."""

import base64
import json

import pytest
import zstandard
from m0localnet import fixtures
from m0localnet.commitment import Commitment
from m0localnet.errors import AccountRefused, FixtureError
from solders.account import Account
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
SYSVAR = "Sysvar1111111111111111111111111111111111111"


def shown(raw: bytes = b"hello", **changes) -> dict:
    pair = [base64.b64encode(raw).decode(), "base64"]
    account = {"lamports": 5_000_000, "data": pair, "owner": TOKEN, "executable": False, "rentEpoch": 361}
    return {**account, **changes}


@pytest.fixture
def dump(tmp_path):
    """Write an account file as ``solana account --output json-compact`` does."""

    def write(key: Pubkey | str, account: object = None, name: str = "account.json"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"pubkey": str(key), "account": account or shown()}))
        return file

    return write


def lines(hand, program: Pubkey, payer: Keypair):
    signature = hand.land([Instruction(program, b"hello", [])], payer)
    hand.slots(2)
    return hand.node.store.transaction(signature)


def test_programs_of_the_genesis_run_before_and_after_a_restart(hands, memo_so, tmp_path):
    keys = [Keypair() for _ in range(3)]
    file = tmp_path / "key.json"
    file.write_text(keys[2].to_json())
    fixed, upgradeable, authority = (key.pubkey() for key in keys)
    begin = fixtures.read([(str(fixed), str(memo_so), None), (str(upgradeable), str(memo_so), str(file))], [], [])
    first = hands(fixtures=begin)
    payer, units = first.funded(), set()
    for program, owner in ((fixed, Pubkey.default()), (upgradeable, authority)):
        record = lines(first, program, payer)
        assert (record.err, record.logs[-1]) == (None, f"Program {program} success")
        units.add(record.units)
        data_key = Pubkey.find_program_address([bytes(program)], LOADER)[0]
        account, data = first.bank.vm.get(program), first.bank.vm.get(data_key)
        # as the reference has it: code that was deployed in slot 0, and an authority in any case
        assert data.data[:45] == (3).to_bytes(4, "little") + bytes(8) + b"\1" + bytes(owner)
        assert data.data[45:] == memo_so.read_bytes()
        assert data.lamports == first.bank.vm.rent_exempt_minimum(len(data.data))
        assert (account.lamports, account.executable) == (first.bank.vm.rent_exempt_minimum(36), True)
    first.close()
    second = hands(first.ledger)
    for program in (fixed, upgradeable):
        record = lines(second, program, payer)
        assert record.err is None
        units.add(record.units)
    assert len(units) == 1


def test_accounts_of_the_genesis_are_those_of_their_files(hands, dump, tmp_path):
    named, own, first, second = (Pubkey.new_unique() for _ in range(4))
    packed = [base64.b64encode(zstandard.compress(b"x" * 5_000)).decode(), "base64+zstd"]
    dump(first, name="folder/a.json")
    dump(second, shown(data=packed), name="folder/b.json")
    (tmp_path / "folder" / "README").write_text("not an account")
    accounts = [(str(named), str(dump(Pubkey.new_unique()))), ("-", str(dump(own, name="own.json")))]
    hand = hands(fixtures=fixtures.read([], accounts, [tmp_path / "folder"]))
    hand.slots(8)
    for key in (named, own, first):
        account = hand.bank.account(key, hand.bank.finalized)
        assert account == Account(5_000_000, b"hello", Pubkey.from_string(TOKEN), False, 361)
    hand.close()
    again = hands(hand.ledger)
    assert again.bank.vm.get(named) == account
    assert again.bank.vm.get(second).data == b"x" * 5_000


def test_an_account_is_read_as_the_node_shows_it(hand):
    payer = hand.funded()
    for encoding in ("base58", "base64", "base64+zstd"):
        told = hand.result("getAccountInfo", str(payer.pubkey()), {"encoding": encoding, "commitment": "processed"})
        assert fixtures.read_account(told["value"]).lamports == hand.balance(payer.pubkey())


def test_a_chain_that_exists_keeps_its_own_accounts(hands, dump, capfd):
    key = Pubkey.new_unique()
    first = hands()
    first.close()
    capfd.readouterr()
    second = hands(first.ledger, fixtures=fixtures.read([], [(str(key), str(dump(key)))], []))
    assert second.bank.vm.get(key) is None
    assert "are not set again" in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Input data was truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"account": {}}', "missing required field `pubkey`"),
        (json.dumps({"pubkey": "x", "account": shown()}), "account address 'x' is no address"),
        (json.dumps({"pubkey": TOKEN, "account": shown(lamports=-1)}), "lamports must lie in 0 .. 2^64, got -1"),
        (json.dumps({"pubkey": TOKEN, "account": shown(lamports="1")}), "Expected `int`, got `str`"),
        (json.dumps({"pubkey": TOKEN, "account": shown(owner="me")}), "owner 'me' is no address"),
        (json.dumps({"pubkey": TOKEN, "account": shown(data=["!", "base64"])}), "its data is not base64"),
        (json.dumps({"pubkey": TOKEN, "account": shown(data={"parsed": {}})}), "dump it with --output json-compact"),
        (json.dumps({"pubkey": TOKEN, "account": shown(data=["", "hex"])}), "in the encoding 'hex'"),
    ],
)
def test_a_file_that_holds_no_account_is_named_with_its_fault(tmp_path, text, words):
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(FixtureError) as caught:
        fixtures.read([], [("-", str(file))], [])
    assert str(caught.value).startswith(f"{file} holds no account: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_or_no_program_is_named(tmp_path, memo_so, dump):
    key = str(Pubkey.new_unique())
    text = tmp_path / "notes.so"
    text.write_text("no program")
    broken = tmp_path / "broken.so"
    broken.write_bytes(memo_so.read_bytes()[:300])
    for programs, accounts, folders, words in (
        ([(key, str(tmp_path / "no.so"), None)], [], [], f"cannot read {tmp_path}/no.so: No such file or directory"),
        ([(key, str(text), None)], [], [], f"{text} is no program"),
        ([("me", str(memo_so), None)], [], [], "program address 'me' is neither an address nor a key file"),
        ([(str(text), str(memo_so), None)], [], [], f"program address '{text}' is no key file"),
        ([(key, str(memo_so), "you")], [], [], "upgrade authority 'you' is neither"),
        ([], [(key, str(tmp_path / "no.json"))], [], f"cannot read {tmp_path}/no.json"),
        ([], [], [tmp_path / "nowhere"], f"{tmp_path}/nowhere is no folder of account files"),
        ([], [(key, str(dump(key))), (key, str(dump(key)))], [], f"the account {key} is already given by"),
    ):
        with pytest.raises(FixtureError) as caught:
            fixtures.read(programs, accounts, folders)
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (shown(executable=True), "the virtual machine says"),
        (shown(lamports=0), "it has no lamports"),
        (shown(owner=SYSVAR), "it is a sysvar, which the chain keeps itself"),
    ],
)
def test_an_account_the_machine_does_not_take_is_named_with_its_file(hands, dump, tmp_path, account, words):
    key = Pubkey.new_unique()
    file = dump(key, account)
    with pytest.raises(FixtureError, match=words) as caught:
        hands(fixtures=fixtures.read([], [("-", str(file))], []))
    assert str(caught.value).startswith(f"{file}: the account {key}")
    # nothing is left behind: the next start makes the chain
    assert hands().result("getHealth") == "ok"


def test_an_account_set_in_a_running_node_is_seen_told_and_kept(hands, tmp_path):
    hand = hands(allow_admin=True)
    hand.slots(8)
    key, gone = Pubkey.new_unique(), hand.funded().pubkey()
    hand.slots()
    state = hand.result("m0_setAccount", str(key), shown(b"abc"))
    assert state["slot"] == hand.bank.running.number
    hand.result("m0_setAccount", str(gone), None)
    expected = Account(5_000_000, b"abc", Pubkey.from_string(TOKEN), False, 361)
    told = [hand.bank.account(key, hand.bank.slot_at(level)) for level in Commitment]
    assert told == [expected, None, None]
    assert hand.balance(gone) == 0
    assert hand.balance(gone, Commitment.FINALIZED) == 0 or hand.balance(gone, Commitment.CONFIRMED) > 0
    hand.slots(2)
    assert hand.bank.account(key, hand.bank.confirmed) == expected
    # written at the end of its slot, as a transaction would be
    again = hands(hand.crash(tmp_path / "crash"))
    assert again.bank.vm.get(key) == expected
    assert again.balance(gone) == 0


def test_a_program_set_in_a_running_node_runs_from_the_next_slot_on(hand, memo_so):
    payer, program = hand.funded(), Pubkey.new_unique()
    begin = fixtures.Fixtures()
    begin.add_program(str(program), memo_so, None)
    hand.slots()
    hand.bank.set_accounts(begin.accounts)
    slot = hand.bank.running.number
    tx = hand.sign([Instruction(program, b"hello", [])], payer)
    assert hand.bank.process(tx) is None
    hand.slots()
    status = hand.bank.statuses.get(bytes(tx.signatures[0]))
    assert (status.slot, status.err) == (slot + 1, None)


def test_accounts_are_set_together_or_not_at_all(hand):
    good, bad = Pubkey.new_unique(), Pubkey.new_unique()
    wrong = Account(10**9, b"xx", LOADER, executable=True)
    with pytest.raises(AccountRefused, match=str(bad)):
        hand.bank.set_accounts({good: Account(10**9, b"", Pubkey.default()), bad: wrong})
    assert (hand.bank.vm.get(good), hand.bank.vm.get(bad)) == (None, None)
    assert not hand.bank.running.edited


def test_what_cannot_be_set_is_a_fault_of_the_request(hands):
    hand, key = hands(allow_admin=True), str(Pubkey.new_unique())
    for value in ({}, 5, shown(lamports=-1), shown(executable=True), shown(owner=SYSVAR)):
        error = hand.call("m0_setAccount", key, value)["error"]
        assert error["code"] == -32602
        assert f"the account {key} " in error["message"]
