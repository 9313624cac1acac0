"""Copies, comparisons and sorts compiled by the toolchain give what Python gives."""

import bisect
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sbpfprops.values import EXAMPLES, M64, signed, u64s, w64

pytestmark = pytest.mark.timeout(900)
MODEST = settings(max_examples=EXAMPLES)
BUFFER = 700
LENGTHS = (
    st.integers(0, 40) | st.integers(0, 600) | st.sampled_from([7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 97])
)


def copied(source: bytes, n: int, at: int, mode: int) -> bytes:
    """The probe's buffer after one copy."""
    b = bytearray(source.ljust(BUFFER, b"\0"))
    if mode == 0:
        b[at : at + n] = source[:n]
    elif mode == 1:
        b[at : at + n] = bytes(b[:n])
    elif mode == 2:
        b[:n] = bytes(b[at : at + n])
    elif mode == 3:
        b[at : at + n] = source[:1] * n
    elif mode in (4, 5):
        size = 33 if mode == 4 else 129
        b[at : at + size] = source[:size]
    elif mode == 6:
        b[at : at + n] = bytes(b[at : at + n])[::-1]
    elif mode == 7:
        k = min(n, BUFFER // 2)
        b[:k], b[350 : 350 + k] = bytes(b[350 : 350 + k]), bytes(b[:k])
    elif mode == 8:
        k = at % n if n else 0
        b[:n] = bytes(b[k:n]) + bytes(b[:k])
    elif mode == 9:
        masked = bytes(x ^ 0x5A for x in source[:n])
        twice = (masked + masked[: min(at, n)])[:600]
        b[: len(twice)] = twice
    else:
        for i in range(20):
            row = 19 - i
            b[at + i * 7 : at + i * 7 + 7] = source[row * 7 : row * 7 + 7]
    return bytes(b)


@MODEST
@given(data=st.data(), mode=st.integers(0, 10))
def test_slices_are_copied_moved_filled_and_turned(probe, data, mode):
    source = data.draw(st.binary(min_size=330 if mode in (5, 10) else 64, max_size=600))
    n = min(data.draw(LENGTHS), len(source))
    at = data.draw(st.integers(0, 560 if mode in (5, 10) else 600 if mode in (4, 9) else 600 - n))
    question = struct.pack("<HHB", n, at, mode) + source
    probe.answers(5, question, copied(source, n, at, mode))


def compared(a: bytes, b: bytes) -> bytes:
    k = min(len(a), len(b))
    out = bytes([0 if a < b else 1 if a == b else 2, a == b, a.startswith(b), a.endswith(b), 7 in a, a[:k] == b[:k]])
    if k >= 32:
        out += bytes([a[:32] == b[:32], a[:32] < b[:32]])
    if k >= 20:
        out += bytes([a[:20] == b[:20], a[:20] > b[:20]])
    folded = 0
    for x in a:
        folded = folded * 31 + x & M64
    return out + w64(a.index(7) if 7 in a else 9999) + w64(folded)


@st.composite
def slices(draw):
    """Two slices that are mostly alike, of every length and around those where loops give way to syscalls."""
    size = draw(st.integers(0, 40) | st.integers(0, 120) | st.sampled_from([8, 20, 32, 33, 96, 97]))
    a = draw(st.binary(min_size=size, max_size=size))
    changed = bytearray(a)
    if a:
        changed[draw(st.integers(0, size - 1))] = draw(st.integers(0, 255))
    kinds = st.just(bytes(changed)) | st.just(bytes(changed)) | st.just(a) | st.binary(max_size=120)
    cuts = st.integers(0, size).map(lambda n: a[:n]) | st.integers(0, size).map(lambda n: a[n:])
    b = draw(kinds | cuts | st.binary(max_size=20).map(lambda more: a + more))
    return (a, b) if draw(st.booleans()) else (b, a)


@MODEST
@given(both=slices())
def test_slices_are_compared(probe, both):
    a, b = both
    probe.answers(6, struct.pack("<HH", len(a), len(b)) + a + b, compared(a, b))


def sorted_words(words: list[int], mode: int) -> list[int]:
    if mode == 0:
        return sorted(words)
    if mode == 1:
        return sorted(words, key=lambda x: signed(x, 64))
    if mode == 2:
        return sorted((i << 8 | x & 7 for i, x in enumerate(words)), key=lambda t: (t & 7, t))
    if mode == 3:
        return sorted(words, reverse=True)
    if mode == 4:
        sums: dict[int, int] = {}
        for i, x in enumerate(words):
            sums[x & 31] = sums.get(x & 31, 0) + i
        return [k << 32 | x for k, x in sorted(sums.items())]
    if mode == 5:
        return [sorted(words)[len(words) // 2]] if words else []
    distinct = sorted(set(words))
    i = bisect.bisect_left(distinct, 500)
    return [i if i < len(distinct) and distinct[i] == 500 else 1000 + i, *distinct]


@MODEST
@given(words=st.lists(u64s | st.integers(0, 1000) | st.integers(0, 20), max_size=90), mode=st.integers(0, 6))
def test_words_are_sorted_summed_and_searched(probe, words, mode):
    want = b"".join(map(w64, sorted_words(words, mode)))
    probe.answers(7, bytes([mode]) + b"".join(map(w64, words)), want)
