"""Filters of ``getProgramAccounts`` and ``programSubscribe``: data size, bytes at an offset, token account state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from solders.account import Account

from m0localnet.encodings import decode_memcmp
from m0localnet.errors import invalid_params
from m0localnet.tokens import is_token_account

MAX_FILTERS: Final = 4


@dataclass(frozen=True, slots=True)
class Filter:
    """One test; exactly one of ``size``, ``content`` or ``token`` is set. ``offset`` belongs to ``content``."""

    size: int | None = None
    content: bytes | None = None
    offset: int = 0
    token: bool = False

    def passes(self, account: Account) -> bool:
        """Tell whether ``account`` passes."""
        if self.token:
            return is_token_account(account)
        data = account.data
        if self.content is not None:
            return data[self.offset : self.offset + len(self.content)] == self.content
        return len(data) == self.size


def _one(raw: Any) -> Filter:
    if raw == "tokenAccountState" or (isinstance(raw, dict) and "tokenAccountState" in raw):
        return Filter(token=True)
    if isinstance(raw, dict) and isinstance(size := raw.get("dataSize"), int) and not isinstance(size, bool):
        return Filter(size=size)
    test = raw.get("memcmp") if isinstance(raw, dict) else None
    if isinstance(test, dict):
        offset, content = test.get("offset"), test.get("bytes")
        if isinstance(offset, int) and not isinstance(offset, bool) and isinstance(content, str | list):
            encoding = test.get("encoding") or "base58"
            return Filter(content=decode_memcmp(content, str(encoding)), offset=offset)
    raise invalid_params(
        f"Invalid params: unknown filter {raw!r}, expected dataSize, memcmp (offset, bytes) or tokenAccountState."
    )


def parse(raw: Any) -> list[Filter]:
    """Read the ``filters`` option; raises :class:`RpcError` (-32602)."""
    if raw is None:
        return []
    if not isinstance(raw, list):
        raise invalid_params("Invalid params: `filters` should be a sequence.")
    if len(raw) > MAX_FILTERS:
        raise invalid_params(f"Too many filters provided; max {MAX_FILTERS}")
    return [_one(item) for item in raw]


def passes(account: Account, tests: list[Filter]) -> bool:
    """Tell whether an account passes every filter."""
    return all(test.passes(account) for test in tests)
