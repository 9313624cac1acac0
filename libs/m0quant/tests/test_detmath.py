"""Deterministic elementary functions agree with the C library to 1e-14."""

import ast
import math
import pathlib
import sys

import m0quant
import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0quant import detmath
from m0quant.errors import QuantError

TOLERANCE = 1e-14


def close(ours: float, theirs: float) -> bool:
    return ours == theirs or abs(ours - theirs) <= TOLERANCE * abs(theirs)


@given(st.floats(-708, 709.78))
def test_exp_agrees_with_the_c_library(x):
    assert close(detmath.exp(x), math.exp(x))


@given(st.floats(-745.1, -708))
def test_exp_of_subnormal_results_is_within_one_step(x):
    assert abs(detmath.exp(x) - math.exp(x)) <= 5e-324 + 1e-14 * math.exp(x)


@given(st.floats(-40, 700) | st.floats(-1, 1) | st.floats(-1e-6, 1e-6))
def test_expm1_agrees_with_the_c_library(x):
    assert close(detmath.expm1(x), math.expm1(x))


@given(st.floats(5e-324, 1e308) | st.floats(0.5, 2.0))
def test_log_agrees_with_the_c_library(x):
    assert close(detmath.log(x), math.log(x))


@given(st.floats(-0.999999, 1e300) | st.floats(-1e-6, 1e-6))
def test_log1p_agrees_with_the_c_library(x):
    assert close(detmath.log1p(x), math.log1p(x))


@given(st.floats(-700, 700))
def test_sigmoid_agrees_with_its_definition(x):
    reference = 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))
    assert close(detmath.sigmoid(x), reference)


@given(st.floats(1e-3, 1e3), st.floats(-5, 5))
def test_pow_agrees_with_the_c_library(x, y):
    assert close(detmath.pow(x, y), math.pow(x, y))


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=20))
def test_logsumexp_does_not_overflow_and_bounds_the_maximum(values):
    result = detmath.logsumexp(values)
    assert max(values) <= result <= max(values) + math.log(len(values)) + 1e-9


@pytest.mark.parametrize(
    "call",
    [
        lambda: detmath.exp(710.0),
        lambda: detmath.exp(math.nan),
        lambda: detmath.expm1(math.nan),
        lambda: detmath.log(0.0),
        lambda: detmath.log(-1.0),
        lambda: detmath.log(math.inf),
        lambda: detmath.log(math.nan),
        lambda: detmath.log1p(-1.0),
        lambda: detmath.pow(-2.0, 0.5),
        lambda: detmath.logsumexp([]),
    ],
)
def test_arguments_outside_the_domain_are_refused(call):
    with pytest.raises(QuantError):
        call()


def test_exact_values_hold_at_the_edges():
    assert detmath.exp(0.0) == 1.0
    assert detmath.exp(-math.inf) == 0.0
    assert detmath.log(1.0) == 0.0
    assert detmath.expm1(-math.inf) == -1.0
    assert detmath.expm1(1e-20) == 1e-20
    assert detmath.pow(0.0, 2.0) == 0.0


def test_the_bits_of_a_fixed_set_of_values_never_change():
    values = [i * 0.37 - 20.0 for i in range(110)]
    chain = 0
    for x in values:
        for y in (detmath.exp(x), detmath.expm1(x), detmath.log(abs(x) + 0.01), detmath.sigmoid(x)):
            mantissa, exponent = math.frexp(y)
            chain = (chain * 1_000_003 + int(mantissa * 2**53) + exponent) % (1 << 61)
    assert chain == GOLDEN


GOLDEN = 1_479_501_918_984_012_514
FORBIDDEN_MATH = {"exp", "log", "pow", "expm1", "log1p", "log2", "log10", "sin", "cos", "tan", "tanh", "erf", "fsum"}


def test_no_module_uses_an_operation_that_differs_between_machines():
    found = []
    for path in sorted(pathlib.Path(m0quant.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
                found.append(f"{where} **")
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "math":
                found += [f"{where} math.{node.attr}"] * (node.attr in FORBIDDEN_MATH)
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                roots = {name.split(".")[0] for name in names}
                found += [
                    f"{where} import {r}"
                    for r in roots
                    if r != "m0quant" and (r not in sys.stdlib_module_names or r in {"random", "time", "os", "secrets"})
                ]
    assert found == []
