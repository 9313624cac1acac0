"""Identifiers: market ids and keys, catalog names, epochs and their windows."""

import hashlib
import re
from typing import NamedTuple

from m0common.errors import InvalidValue

MARKET_ID_MAX_CHARS = 64
CATALOG_BYTES = 16
GROUP_MAX_BYTES = 32

_MARKET_ID = re.compile(r"[A-Z0-9_]{1,64}")
_CATALOG = re.compile(r"[a-z0-9_-]{1,16}")


class Lane(NamedTuple):
    """One catalog in one partition of what a stage reads: of `m0.raw`, the bundle stage of `m0.predictions`."""

    catalog: str
    partition: int


def check_market_id(market_id: str) -> str:
    """Return `market_id` if it is well formed, else raise InvalidValue."""
    if not _MARKET_ID.fullmatch(market_id):
        raise InvalidValue(f"market id {market_id!r}: use 1 to 64 of A-Z, 0-9 and _")
    return market_id


def market_key(market_id: str) -> bytes:
    """The 32-byte key of a market on chain and in leaves: sha256 of its id."""
    return hashlib.sha256(check_market_id(market_id).encode()).digest()


def check_catalog(catalog: str) -> str:
    """Return `catalog` if it is well formed, else raise InvalidValue."""
    if not _CATALOG.fullmatch(catalog):
        raise InvalidValue(f"catalog {catalog!r}: use 1 to 16 of a-z, 0-9, _ and -")
    return catalog


def catalog_bytes(catalog: str) -> bytes:
    """The catalog name zero-padded to 16 bytes."""
    return check_catalog(catalog).encode().ljust(CATALOG_BYTES, b"\0")


def catalog_name(raw: bytes) -> str:
    """The name inside 16 zero-padded bytes; InvalidValue when it is not one."""
    if len(raw) != CATALOG_BYTES:
        raise InvalidValue(f"catalog of {len(raw)} bytes: it is {CATALOG_BYTES}")
    try:
        return check_catalog(raw.rstrip(b"\0").decode("ascii"))
    except UnicodeDecodeError as error:
        raise InvalidValue(f"catalog {raw.hex()}: not ASCII") from error


def epoch_of(t_ms: int, epoch_ms: int) -> int:
    """The id of the epoch whose window `[start, end)` holds `t_ms`."""
    if epoch_ms <= 0 or t_ms < 0:
        raise InvalidValue(f"epoch of {t_ms} ms with length {epoch_ms} ms: both must be positive")
    return t_ms // epoch_ms


def epoch_window(epoch_id: int, epoch_ms: int) -> tuple[int, int]:
    """`(start_ms, end_ms)` of an epoch; the end is exclusive."""
    return epoch_id * epoch_ms, (epoch_id + 1) * epoch_ms
