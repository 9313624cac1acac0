"""Methods that read accounts."""

from __future__ import annotations

from typing import Any, Final

from m0localnet import filters
from m0localnet.encodings import encode_account
from m0localnet.node import Node
from m0localnet.rpc.registry import Config, Params, method, pubkey, with_context

MAX_MULTIPLE_ACCOUNTS: Final = 100
_INFO: Final = "struct RpcAccountInfoConfig"


def _show(node: Node, key: Any, slot: int, config: Config, default: str) -> dict[str, Any] | None:
    account = node.bank.account(pubkey(key), slot)
    return None if account is None else encode_account(account, config.account_encoding(default), config.data_slice())


@method("getAccountInfo", 1, 2)
def get_account_info(node: Node, params: Params) -> Any:
    """Return one account or null."""
    config = params.config(1, _INFO)
    params.pubkey(0)
    config.account_encoding()
    slot = config.slot(node)
    return with_context(slot, _show(node, params.get(0), slot, config, "binary"))


@method("getMultipleAccounts", 1, 2)
def get_multiple_accounts(node: Node, params: Params) -> Any:
    """Return up to 100 accounts, null for each that does not exist."""
    keys = params.items(0, MAX_MULTIPLE_ACCOUNTS)
    config = params.config(1, _INFO)
    slot = config.slot(node)
    return with_context(slot, [_show(node, key, slot, config, "base64") for key in keys])


@method("getProgramAccounts", 1, 2)
def get_program_accounts(node: Node, params: Params) -> Any:
    """Return the accounts a program owns that pass the filters."""
    program = params.pubkey(0)
    config = params.config(1, "struct RpcProgramAccountsConfig")
    tests = filters.parse(config.get("filters"))
    encoding, data_slice = config.account_encoding(), config.data_slice()
    slot = config.slot(node)
    rows = [
        {"account": encode_account(account, encoding, data_slice), "pubkey": str(key)}
        for key, account in node.bank.owned_by(program, slot)
        if filters.passes(account, tests)
    ]
    return with_context(slot, rows) if config.flag("withContext") else rows


@method("getBalance", 1, 2)
def get_balance(node: Node, params: Params) -> Any:
    """Return an account's lamports."""
    key = params.pubkey(0)
    slot = params.config(1).slot(node)
    account = node.bank.account(key, slot)
    return with_context(slot, account.lamports if account else 0)


@method("getMinimumBalanceForRentExemption", 1, 2)
def get_minimum_balance(node: Node, params: Params) -> Any:
    """Return the lamports that keep an account of the given size rent-exempt."""
    return node.bank.vm.rent_exempt_minimum(params.unsigned(0, "usize"))
