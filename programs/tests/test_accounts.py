"""Every instruction of both programs, with each of its accounts and its data bent in every way that matters."""

from functools import cache

import pytest
from m0svm.call import Call
from m0svm.cases import World, case
from m0svm.chain import SYSTEM
from m0svm.idl import Idl
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

IDLS = {name: Idl(name) for name in ("m0_oracle", "m0_registry")}
INSTRUCTIONS = [(program, name) for program, idl in IDLS.items() for name in idl.instructions]
CREATED = {
    ("initialize", "config"),
    ("initialize_root", "root"),
    ("create_signer_set", "signer_set"),
    ("create_catalog", "catalog"),
    ("open_epoch", "epoch"),
    ("create_market", "market"),
}
TYPES = {
    "config": "Config",
    "signer_set": "SignerSet",
    "catalog": "Catalog",
    "epoch": "Epoch",
    "feed": "Feed",
    "root": "Root",
    "market": "Market",
}
ROLES = {"admin", "authority", "new_admin", "registrar", "resolver", "signer"}

every_instruction = pytest.mark.parametrize(
    ("program", "name"), INSTRUCTIONS, ids=[f"{p}-{n}" for p, n in INSTRUCTIONS]
)


@cache
def world(program: str, name: str) -> tuple[World, Call]:
    """One world per instruction: refused calls leave no trace in it."""
    return case(program, name)


def listed(call: Call, flag: str) -> list[str]:
    return [a["name"] for a in call.idl.instructions[call.name]["accounts"] if a.get(flag)]


def stored(call: Call) -> list[str]:
    """Accounts of the program that the instruction reads or changes."""
    names = [a["name"] for a in call.idl.instructions[call.name]["accounts"]]
    return [n for n in names if n in TYPES and (call.name, n) not in CREATED]


def address(call: Call, name: str) -> Pubkey:
    key = call.accounts[name]
    return key if isinstance(key, Pubkey) else key.pubkey()


def put_back_after(call: Call, name: str, account: Account, error: str) -> None:
    """Replace an account's content, expect the error, and restore it."""
    svm, where = call.chain.svm, address(call, name)
    before = svm.get_account(where)
    svm.set_account(where, account)
    try:
        call.fails(error)
    finally:
        svm.set_account(where, before or Account(0, b"", SYSTEM))


@every_instruction
def test_the_call_that_the_other_tests_bend_succeeds_as_it_is(program, name):
    call = case(program, name)[1]
    call.ok()


@every_instruction
def test_an_account_that_must_sign_and_does_not_is_refused(program, name):
    call = world(program, name)[1]
    for account in listed(call, "signer"):
        call.without_signature(account).fails("MissingSigner")


@every_instruction
def test_an_account_that_must_be_writable_and_is_not_is_refused(program, name):
    call = world(program, name)[1]
    for account in listed(call, "writable"):
        call.read_only(account).fails("NotWritable")


@every_instruction
def test_too_few_accounts_are_refused(program, name):
    call = world(program, name)[1]
    for count in range(1, len(call.idl.instructions[name]["accounts"]) + 1):
        call.dropping(count).fails("NotEnoughAccounts")


@every_instruction
def test_arguments_cut_short_or_followed_by_more_are_refused(program, name):
    call = world(program, name)[1]
    data = call.instruction().data
    call.with_data(data + b"\0").fails("InvalidInstruction")
    for end in {0, 7, *([8] if len(data) > 8 else []), *([len(data) - 1] if len(data) > 8 else [])}:
        call.with_data(data[:end]).fails("InvalidInstruction")


@pytest.mark.parametrize("program", IDLS)
def test_an_unknown_instruction_is_refused(program):
    call = world(program, "set_paused")[1]
    call.with_data(bytes(8)).fails("InvalidInstruction")
    call.with_data(b"\xff" * 40).fails("InvalidInstruction")


@every_instruction
def test_a_copy_of_an_account_at_another_address_is_refused(program, name):
    call = world(program, name)[1]
    for account in stored(call):
        original = call.chain.svm.get_account(address(call, account))
        copy = Pubkey.new_unique()
        call.chain.svm.set_account(copy, original)
        call.with_accounts(**{account: copy}).fails("WrongAddress")


@every_instruction
def test_an_account_of_another_owner_is_refused(program, name):
    call = world(program, name)[1]
    for account in stored(call):
        original = call.chain.svm.get_account(address(call, account))
        foreign = Account(original.lamports, bytes(original.data), Pubkey.new_unique())
        put_back_after(call, account, foreign, "WrongOwner")
        nothing = Pubkey.new_unique()
        # an absent feed is created, so one at the wrong place is refused for its address
        call.with_accounts(**{account: nothing}).fails("WrongAddress" if account == "feed" else "WrongOwner")


@every_instruction
def test_an_account_of_another_type_version_or_length_is_refused(program, name):
    call = world(program, name)[1]
    for account in stored(call):
        original = call.chain.svm.get_account(address(call, account))
        data, owner = bytes(original.data), call.program
        bent = {
            "WrongAccountType": [
                b"\1" + data[1:],
                data[:7] + bytes([data[7] ^ 1]) + data[8:],
                data[:20],
                b"",
                data[:8],
            ],
            "WrongVersion": [data[:8] + b"\2" + data[9:], data[:8] + b"\0" + data[9:]],
        }
        for error, contents in bent.items():
            for content in contents:
                put_back_after(call, account, Account(original.lamports, content, owner), error)


@every_instruction
def test_an_account_whose_stored_bump_was_bent_is_refused(program, name):
    call = world(program, name)[1]
    for account in stored(call):
        original = call.chain.svm.get_account(address(call, account))
        data = bytearray(original.data)
        data[9] ^= 1
        put_back_after(call, account, Account(original.lamports, bytes(data), call.program), "WrongAddress")


@pytest.mark.parametrize(("name", "account"), sorted(CREATED))
def test_an_account_is_created_only_at_its_address_and_once(name, account):
    for program in (p for p, n in INSTRUCTIONS if n == name):
        call = case(program, name)[1]
        call.with_accounts(**{account: Pubkey.new_unique()}).fails("WrongAddress")
        call.ok()
        call.fails("AlreadyInitialized")


@pytest.mark.parametrize(("name", "account"), sorted(CREATED))
@pytest.mark.parametrize("lamports", [1, 10_000_000_000])
def test_lamports_sent_beforehand_do_not_keep_an_account_from_being_created(name, account, lamports):
    for program in (p for p, n in INSTRUCTIONS if n == name):
        call = case(program, name)[1]
        where = address(call, account)
        # an account below the rent minimum cannot be made by a transfer, only exist from earlier times
        call.chain.svm.set_account(where, Account(lamports, b"", SYSTEM))
        call.ok()
        made = call.chain.svm.get_account(where)
        minimum = call.chain.svm.minimum_balance_for_rent_exemption(len(made.data))
        assert made.lamports == max(lamports, minimum)
        assert made.owner == call.program
        call.chain.account(TYPES[account], where)


@every_instruction
def test_anything_but_the_system_program_in_its_place_is_refused(program, name):
    call = world(program, name)[1]
    if "system_program" in [a["name"] for a in call.idl.instructions[name]["accounts"]]:
        call.with_accounts(system_program=Pubkey.new_unique()).fails("WrongSystemProgram")
        call.with_accounts(system_program=call.program).fails("WrongSystemProgram")


@every_instruction
def test_a_stranger_in_place_of_a_role_is_refused(program, name):
    call = world(program, name)[1]
    stranger = call.chain.funded()
    for account in ROLES & set(listed(call, "signer")):
        expected = "NotASigner" if account == "signer" else "Unauthorized"
        if name in ("initialize", "initialize_root"):
            expected = "NotUpgradeAuthority"
        call.with_accounts(**{account: stranger}).fails(expected)


@every_instruction
def test_one_account_in_two_places_is_refused(program, name):
    call = world(program, name)[1]
    names = [a["name"] for a in call.idl.instructions[name]["accounts"]]
    for here in names:
        if isinstance(call.accounts[here], Keypair):
            continue  # one key may pay and hold several roles
        for there in names:
            if here == there:
                continue
            result = call.with_accounts(**{here: address(call, there)}).send()
            assert result.error in call.idl.errors, (here, there, result.error, result.logs)


@every_instruction
def test_accounts_beyond_those_listed_are_ignored(program, name):
    call = case(program, name)[1]
    instruction = call.instruction()
    more = [AccountMeta(Pubkey.new_unique(), is_signer=False, is_writable=False) for _ in range(20)]
    metas = [*instruction.accounts, *more, *instruction.accounts]
    longer = Instruction(instruction.program_id, instruction.data, metas)
    call.chain.send([longer], [call.chain.payer, *call.signers()]).ok()
