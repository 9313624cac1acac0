"""The probe's operations on numbers and calls, in Python."""

import math

from sbpfprops.values import M64, M128, clamp, opt, signed, w64, w128, within

I64 = (-(2**63), 2**63 - 1)
I128 = (-(2**127), 2**127 - 1)
NAMES = ("alpha", "be", "gamma!", "", "delta-delta-delta")
FIBONACCI = (0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89)


def quotient(a: int, b: int) -> int:
    """Division that truncates, as Rust's does."""
    q = abs(a) // abs(b)
    return -q if (a < 0) != (b < 0) else q


def remainder(a: int, b: int) -> int:
    return a - b * quotient(a, b)


def _checked(op, a: int, b: int, bits: int) -> int | None:
    a, b = signed(a, bits), signed(b, bits)
    if b == 0 or (a == -(2 ** (bits - 1)) and b == -1):
        return None
    return op(a, b)


def u64s(a: int, b: int) -> bytes:
    return (
        opt(within(a + b, 0, M64), 8)
        + opt(within(a - b, 0, M64), 8)
        + opt(within(a * b, 0, M64), 8)
        + w64(a * b)
        + w64(clamp(a * b, 0, M64))
        + w64(clamp(a + b, 0, M64))
        + w64(clamp(a - b, 0, M64))
        + opt(a // b if b else None, 8)
        + opt(a % b if b else None, 8)
        + w64(abs(a - b))
        + opt(within(a ** (b & 7), 0, M64), 8)
    )


def u128_products(a: int, b: int) -> bytes:
    return (
        w128(a * b)
        + opt(within(a * b, 0, M128), 16)
        + opt(within(a + b, 0, M128), 16)
        + opt(within(a - b, 0, M128), 16)
        + w128((a & M64) * (b & M64))
        + w128(clamp(a * b, 0, M128))
        + bytes([a < b, a == b])
    )


def u128_quotients(a: int, b: int) -> bytes:
    return (
        opt(a // b if b else None, 16)
        + opt(a % b if b else None, 16)
        + w128(a // 10)
        + w128(a % 1_000_003)
        + w128(a // (b & M64 | 1))
        + w128((a & M64) * (b & M64) // 1_000_000_007)
    )


def i64s(x: int, y: int) -> bytes:
    a, b = signed(x, 64), signed(y, 64)
    a32, b32 = signed(x, 32), signed(y, 32)
    return (
        opt(_checked(quotient, x, y, 64), 8)
        + opt(_checked(remainder, x, y, 64), 8)
        + opt(within(a * b, *I64), 8)
        + opt(within(a + b, *I64), 8)
        + opt(within(a - b, *I64), 8)
        + opt(within(-a, *I64), 8)
        + w64(quotient(a, 7))
        + w64(remainder(a, 1000))
        + w64(quotient(a, 16))
        + w64(a >> (b & 63))
        + w64(a % 97)
        + w64(a // 97)
        + w64(clamp(a * b, *I64))
        + w64(abs(a))
        + opt(_checked(quotient, x, y, 32), 8)
        + opt(_checked(remainder, x, y, 32), 8)
        + opt(within(a32 * b32, -(2**31), 2**31 - 1), 8)
        + opt(_checked(quotient, x, y, 16), 8)
        + opt(_checked(remainder, x, y, 8), 8)
        + bytes([a < b, a32 < b32])
    )


def i128s(x: int, y: int) -> bytes:
    a, b = signed(x, 128), signed(y, 128)
    return (
        opt(_checked(quotient, x, y, 128), 16)
        + opt(_checked(remainder, x, y, 128), 16)
        + opt(within(a * b, *I128), 16)
        + w128(a * b)
        + opt(within(a + b, *I128), 16)
        + opt(within(a - b, *I128), 16)
        + w128(a - b)
        + w128(signed(x, 64) * signed(y, 64))
        + bytes([a < b])
    )


def rotate(x: int, by: int) -> int:
    by %= 64
    return (x << by | x >> 64 - by) & M64


def bits(a: int, b: int) -> bytes:
    wide, shift = a << 64 | b, b & 127
    low32, low16 = 2**32 - 1, 2**16 - 1

    def trailing(x: int, width: int) -> int:
        return (x & -x).bit_length() - 1 if x else width

    return (
        w64(64 - a.bit_length())
        + w64(trailing(a, 64))
        + w64(a.bit_count())
        + w64(rotate(a, shift))
        + a.to_bytes(8, "big")
        + w64(int(f"{a:064b}"[::-1], 2))
        + w128(wide << shift)
        + w128(wide >> shift)
        + w128(signed(wide, 128) >> shift)
        + w64(128 - wide.bit_length())
        + w64(trailing(wide, 128))
        + w64(math.isqrt(a))
        + w64(len(str(a)) - 1 if a else 99)
        + w64(a.bit_length() - 1 if a else 99)
        + w64(a * b & low32)
        + w64((a & low32) // (b & low32 | 1))
        + w64((a & low16) % (b & low16 | 1))
        + w64(signed(a, 8))
        + w64(signed(a, 32))
        + w64(int.from_bytes((a & low32).to_bytes(4, "little"), "big"))
        + w64(int.from_bytes((a & low16).to_bytes(2, "little"), "big"))
        + w64((a & low32) >> (b & 31))
        + w64(signed(a, 32) >> (b & 31))
        + w128(math.isqrt(wide))
    )


def tables_and_structs(a: int, b: int) -> bytes:
    area = (a * a & M64 ^ b, a * b + b, rotate(a, b & 63))[b % 3]
    called = (a + b, a * b, a ^ b, a << (b & 63))[a & 3]
    name = NAMES[a % 5]
    jump = (17, b ^ 5, 99, b * 3, 1234567890123, ~b, b >> 3, 42, b << 1, 7, b - a)[a % 11]
    data, n = w64(a) + w64(b) + bytes(24), b % 41
    return (
        w64(area)
        + w64(a + b)
        + w64(a ^ b)
        + w64(a & b)
        + opt(within((a << 32) - b, 0, M128), 16)
        + w64(called)
        + w64(len(name))
        + (name[:1].encode() or b"\0")
        + w64(FIBONACCI[b % 12])
        + w64(a + 1)
        + w64(a + ((b + 1 & M64) % 40 == b % 40))
        + w64(jump)
        + (data[:9] if n >= 32 else n.to_bytes(4, "little") + bytes(5))
    )


def strings(a: int, b: int) -> bytes:
    text = f'{a}|{b:x}|{signed(a, 16):>8}|({b & 255}, "q")|{signed(b, 64)}'
    return w64(a) + w64(b) + f"{text}#".encode()


def many_arguments(a: int, b: int) -> bytes:
    f = b ^ 4
    g = b + f & M64
    first = a ^ (b * (a ^ 1) & M64) ^ ((b ^ 2) + (a ^ 3) & M64) ^ (f - g & M64)
    out = w64(first) + w64(g)
    c, d, e, f = 3, 4, 5, b >> 7
    if a & 1:
        g ^= a
        second = ((a + b) * c + d) * e + f
    else:
        g = g + f & M64
        second = a ^ (b * c & M64) ^ d + e ^ (f - g & M64)
    return out + w64(second) + w64(g)
