"""Reading SPL token accounts and mints (the layout shared by Token and Token-2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from solders.account import Account
from solders.pubkey import Pubkey

from m0localnet.records import TokenBalance

TOKEN_PROGRAM: Final = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM: Final = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
TOKEN_PROGRAMS: Final = frozenset({TOKEN_PROGRAM, TOKEN_2022_PROGRAM})
ACCOUNT_BYTES: Final = 165
MINT_BYTES: Final = 82
_ACCOUNT_KIND: Final = 2  # the byte after a Token-2022 account that has extensions


def is_token_account(account: Account | None) -> bool:
    """Tell whether ``account`` is an initialized token account."""
    if account is None or account.owner not in TOKEN_PROGRAMS:
        return False
    data = account.data
    sized = len(data) == ACCOUNT_BYTES or (len(data) > ACCOUNT_BYTES and data[ACCOUNT_BYTES] == _ACCOUNT_KIND)
    return sized and data[108] != 0


def decimals_of(mint: Account | None) -> int | None:
    """Return a mint's decimals, None when ``mint`` is no initialized mint."""
    if mint is None or mint.owner not in TOKEN_PROGRAMS or len(mint.data) < MINT_BYTES or not mint.data[45]:
        return None
    return mint.data[44]


def ui_amount(amount: int, decimals: int) -> dict[str, Any]:
    """Return the four forms in which the RPC shows a token amount given in base units."""
    text = f"{amount // 10**decimals}.{amount % 10**decimals:0{decimals}d}".rstrip("0").rstrip(".") if decimals else ""
    return {
        "amount": str(amount),
        "decimals": decimals,
        "uiAmount": amount / 10**decimals,
        "uiAmountString": text or str(amount),
    }


def balances(keys: Sequence[Pubkey], read: Callable[[Pubkey], Account | None]) -> list[TokenBalance]:
    """Return the token balances among a transaction's accounts, empty when it names no token program."""
    if TOKEN_PROGRAMS.isdisjoint(keys):
        return []
    out = []
    for index, key in enumerate(keys):
        account = read(key)
        if account is None or not is_token_account(account):
            continue
        data = account.data
        decimals = decimals_of(read(Pubkey(data[:32])))
        if decimals is not None:
            amount = int.from_bytes(data[64:72], "little")
            out.append(TokenBalance(index, data[:32], data[32:64], bytes(account.owner), amount, decimals))
    return out
