"""Arithmetic, calls and strings compiled by the toolchain give what Python gives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sbpfprops import expected
from sbpfprops.values import EXAMPLES, pairs64, pairs128, signed, w64, w128

pytestmark = pytest.mark.timeout(900)
MODEST = settings(max_examples=EXAMPLES)

# operation, pairs, encoding of a number, pairs in one transaction, expectation
OPERATIONS = {
    "u64": (0, pairs64, w64, 10, expected.u64s),
    "u128 products": (1, pairs128, w128, 8, expected.u128_products),
    "u128 quotients": (2, pairs128, w128, 8, expected.u128_quotients),
    "i64": (3, pairs64, w64, 5, expected.i64s),
    "i128": (4, pairs128, w128, 5, expected.i128s),
    "bits": (8, pairs64, w64, 3, expected.bits),
    "tables and structs": (9, pairs64, w64, 5, expected.tables_and_structs),
    "strings": (10, pairs64, w64, 1, expected.strings),
    "more than five arguments": (11, pairs64, w64, 10, expected.many_arguments),
}


@pytest.mark.parametrize("name", OPERATIONS)
@MODEST
@given(data=st.data())
def test_an_operation_agrees_with_python(probe, name, data):
    operation, pairs, encode, most, expectation = OPERATIONS[name]
    chosen = data.draw(st.lists(pairs, min_size=most, max_size=most))
    question = b"".join(encode(a) + encode(b) for a, b in chosen)
    probe.answers(operation, question, b"".join(expectation(a, b) for a, b in chosen))


M64, M128 = 2**64 - 1, 2**128 - 1
PANICS = {
    "u64 addition": (20, w64, [(M64, 1), (2**63, 2**63)], [(5, 6), (M64, 0)], lambda a, b: w64(a + b)),
    "u64 product": (21, w64, [(M64, 2), (2**32, 2**32)], [(2**32, 2**31)], lambda a, b: w64(a * b)),
    "u64 division by zero": (22, w64, [(5, 0)], [(50, 7)], lambda a, b: w64(a // b)),
    "i64 division": (
        23,
        w64,
        [(5, 0), (2**63, M64)],
        [(-50 & M64, 7)],
        lambda a, b: w64(expected.quotient(signed(a, 64), signed(b, 64))),
    ),
    "an index out of bounds": (24, w64, [(4000, 1)], [], None),
    "u128 product": (25, w128, [(M128, 2), (2**64, 2**64)], [(2**63, 2**64), (2**127, 1)], lambda a, b: w128(a * b)),
    "u128 division by zero": (26, w128, [(M128, 0)], [(M128, 3)], lambda a, b: w128(a // b)),
    "i64 product": (
        27,
        w64,
        [(2**63, M64), (2**62, 2)],
        [(-(2**62) & M64, 2), (3, -4 & M64)],
        lambda a, b: w64(signed(a, 64) * signed(b, 64)),
    ),
    "u64 subtraction": (28, w64, [(1, 2)], [(7, 3)], lambda a, b: w64(a - b)),
}


@pytest.mark.parametrize("name", PANICS)
def test_what_has_no_result_panics_instead_of_giving_one(probe, name):
    operation, encode, wrong, right, expectation = PANICS[name]
    for a, b in wrong:
        got, logs = probe.ask(operation, encode(a) + encode(b))
        assert got is None
        assert any("panicked" in line.lower() for line in logs), logs
    for a, b in right:
        probe.answers(operation, encode(a) + encode(b), expectation(a, b))
