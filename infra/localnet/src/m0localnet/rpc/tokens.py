"""Methods that read SPL token accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from solders.account import Account
from solders.pubkey import Pubkey

from m0localnet.encodings import encode_account
from m0localnet.errors import invalid_param, invalid_params
from m0localnet.node import Node
from m0localnet.rpc.registry import Params, method, pubkey, with_context
from m0localnet.tokens import TOKEN_PROGRAMS, decimals_of, is_token_account, ui_amount

LARGEST: Final = 20


def _decimals(node: Node, mint: Pubkey, slot: int) -> int:
    decimals = decimals_of(node.bank.account(mint, slot))
    if decimals is None:
        raise invalid_param("could not find mint")
    return decimals


@method("getTokenAccountBalance", 1, 2)
def get_token_account_balance(node: Node, params: Params) -> Any:
    """Return a token account's amount."""
    key = params.pubkey(0)
    slot = params.config(1).slot(node)
    account = node.bank.account(key, slot)
    if account is None:
        raise invalid_param("could not find account")
    if not is_token_account(account):
        raise invalid_param("not a Token account")
    decimals = _decimals(node, Pubkey(account.data[:32]), slot)
    return with_context(slot, ui_amount(int.from_bytes(account.data[64:72], "little"), decimals))


@method("getTokenSupply", 1, 2)
def get_token_supply(node: Node, params: Params) -> Any:
    """Return a mint's supply."""
    key = params.pubkey(0)
    slot = params.config(1).slot(node)
    account = node.bank.account(key, slot)
    if account is None:
        raise invalid_param("could not find account")
    decimals = decimals_of(account)
    if decimals is None:
        raise invalid_param("not a Token mint")
    return with_context(slot, ui_amount(int.from_bytes(account.data[36:44], "little"), decimals))


def _token_accounts(node: Node, programs: list[Pubkey], slot: int) -> list[tuple[Pubkey, Account]]:
    return [row for program in programs for row in node.bank.owned_by(program, slot) if is_token_account(row[1])]


@method("getTokenAccountsByOwner", 2, 3)
def get_token_accounts_by_owner(node: Node, params: Params) -> Any:
    """Return an owner's token accounts of one mint or one token program."""
    owner = bytes(params.pubkey(0))
    return _matching(node, params, lambda data: data[32:64] == owner)


@method("getTokenAccountsByDelegate", 2, 3)
def get_token_accounts_by_delegate(node: Node, params: Params) -> Any:
    """Return the token accounts of one mint or one token program that a delegate may spend from."""
    delegate = b"\x01\x00\x00\x00" + bytes(params.pubkey(0))
    return _matching(node, params, lambda data: data[72:108] == delegate)


def _matching(node: Node, params: Params, belongs: Callable[[bytes], bool]) -> Any:
    which = params.config(1, "enum RpcTokenAccountsFilter")
    config = params.config(2, "struct RpcAccountInfoConfig")
    slot = config.slot(node)
    mint: Pubkey | None = None
    if which.get("mint") is not None:
        mint = pubkey(which.get("mint"))
        account = node.bank.account(mint, slot)
        if account is None:
            raise invalid_param("could not find mint")
        programs = [account.owner]
    elif which.get("programId") is not None:
        programs = [pubkey(which.get("programId"))]
    else:
        raise invalid_params("Invalid params: expected `mint` or `programId`.")
    if not TOKEN_PROGRAMS.issuperset(programs):
        raise invalid_param("unrecognized Token program id")
    encoding, data_slice = config.account_encoding(), config.data_slice()
    rows = [
        {"account": encode_account(account, encoding, data_slice), "pubkey": str(key)}
        for key, account in _token_accounts(node, programs, slot)
        if belongs(account.data) and (mint is None or account.data[:32] == bytes(mint))
    ]
    return with_context(slot, rows)


@method("getTokenLargestAccounts", 1, 2)
def get_token_largest_accounts(node: Node, params: Params) -> Any:
    """Return the 20 largest token accounts of a mint."""
    mint = params.pubkey(0)
    slot = params.config(1).slot(node)
    account = node.bank.account(mint, slot)
    if account is None or account.owner not in TOKEN_PROGRAMS:
        raise invalid_param("not a Token mint")
    decimals = _decimals(node, mint, slot)
    amounts = [
        (key, int.from_bytes(found.data[64:72], "little"))
        for key, found in _token_accounts(node, [account.owner], slot)
        if found.data[:32] == bytes(mint)
    ]
    amounts.sort(key=lambda row: -row[1])
    value = [{"address": str(key), **ui_amount(amount, decimals)} for key, amount in amounts[:LARGEST]]
    return with_context(slot, value)
