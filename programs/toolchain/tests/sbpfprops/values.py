"""Integers worth computing with, and their bytes."""

import os

from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("M0_PROPERTY_EXAMPLES", "150"))
"""Transactions per property; raise it to search harder."""

M64, M128 = 2**64 - 1, 2**128 - 1
EDGES = sorted(
    {0, 1, 2, 3, 5, 7, 10, 15, 16, 255, 256, 10**9, 10**18, 6_700_417, 0xFFFFFFFF00000000, 0x8000000080000000}
    | {2**n + d for n in (31, 32, 63) for d in (-1, 0, 1)}
    | {31, 32, 63, 64, M64, M64 - 1}
)


def _near_power(bits: int) -> st.SearchStrategy[int]:
    return st.builds(lambda n, d: (1 << n) + d & 2**bits - 1, st.integers(0, bits - 1), st.integers(-2, 2))


def _any(bits: int) -> st.SearchStrategy[int]:
    """Every bit length is as likely as any other."""
    return st.integers(1, bits).flatmap(lambda n: st.integers(0, 2**n - 1))


u64s = st.sampled_from(EDGES) | _near_power(64) | _any(64)
_joined = st.builds(lambda a, b: a << 64 | b, st.sampled_from(EDGES), st.sampled_from(EDGES))
u128s = _joined | _near_power(128) | _any(128) | u64s


def _close_products(bits: int) -> st.SearchStrategy[tuple[int, int]]:
    """Factors whose product is at the limit of the signed or unsigned range."""
    mask = 2**bits - 1

    def factors(i: int, top: int, da: int, db: int, negative: tuple[bool, bool]) -> tuple[int, int]:
        a, b = (1 << i) + da, (1 << (top - i) % bits) + db
        return (-a if negative[0] else a) & mask, (-b if negative[1] else b) & mask

    offsets = st.sampled_from([0, 0, 0, 1, -1])
    tops = st.sampled_from([bits - 2, bits - 1, bits])
    return st.builds(factors, st.integers(0, bits - 1), tops, offsets, offsets, st.tuples(st.booleans(), st.booleans()))


def _close_quotients(bits: int, one: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[int, int]]:
    """Dividends around a multiple of the divisor."""
    mask = 2**bits - 1

    def around(d: int, q: int, off: int) -> tuple[int, int]:
        d = max(1, d)
        a = min(q, mask // d) * d
        return a + (0, d - 1, 1, -1)[off] & mask, d

    return st.builds(around, one, _any(bits), st.integers(0, 3))


pairs64 = st.tuples(u64s, u64s) | _close_products(64) | _close_quotients(64, u64s)
pairs128 = st.tuples(u128s, u128s) | _close_products(128) | _close_quotients(128, u128s)


def signed(x: int, bits: int) -> int:
    """The low bits as a two's complement number."""
    x &= 2**bits - 1
    return x - 2**bits if x >> bits - 1 else x


def w64(x: int) -> bytes:
    return (x & M64).to_bytes(8, "little")


def w128(x: int) -> bytes:
    return (x & M128).to_bytes(16, "little")


def opt(x: int | None, size: int) -> bytes:
    """An option as the probe writes it: a tag, and the value or zero."""
    return bytes([x is not None]) + ((x or 0) & 2 ** (8 * size) - 1).to_bytes(size, "little")


def within(x: int, low: int, high: int) -> int | None:
    return x if low <= x <= high else None


def clamp(x: int, low: int, high: int) -> int:
    return max(low, min(high, x))
