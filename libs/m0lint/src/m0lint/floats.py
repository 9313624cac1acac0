"""Float arithmetic that differs between machines or Pythons: only + - * / and sqrt are rounded exactly everywhere."""

import ast
from collections.abc import Iterator

from m0lint.integers import scopes
from m0lint.names import defined, dotted, imports, references

Finding = tuple[int, str]

_EXACT = {
    *("ceil", "comb", "copysign", "fabs", "factorial", "floor", "fmod", "frexp", "gcd", "inf", "isclose", "isfinite"),
    *("isinf", "isnan", "isqrt", "lcm", "ldexp", "modf", "nan", "nextafter", "perm", "prod", "remainder", "sqrt"),
    *("trunc", "ulp", "pi", "e", "tau"),
}
"""Of `math`: exact, or rounded once as IEEE 754 says."""
_SUMS = {"math.fsum", "math.sumprod", "math.hypot", "math.dist"}
_POWERS = {"math.pow", "operator.pow", "operator.ipow"}


def libm(tree: ast.Module) -> Iterator[Finding]:
    """Libm differs in the last bit between machines."""
    for node, name in references(tree):
        module, _, function = name.rpartition(".")
        if name.startswith("cmath.") or (module == "math" and function not in _EXACT and name not in _SUMS | _POWERS):
            yield node.lineno, f"{name} differs between machines in the last bit: use m0quant.detmath"


def sums(tree: ast.Module) -> Iterator[Finding]:
    """The built-in sum of floats compensates since Python 3.12, so it gives other bits than in 3.11."""
    for read, name in references(tree):
        if name in _SUMS:
            yield read.lineno, f"{name} rounds otherwise on other Pythons and machines: add in a loop, in a fixed order"
        elif name.startswith("statistics."):
            yield read.lineno, f"{name} rounds as its Python version does: write the formula out"
    known = imports(tree) | defined(tree)
    for integers, nodes in scopes(tree):
        proven = {
            call.func
            for call in nodes
            if isinstance(call, ast.Call) and call.args and integers.many(call.args[0])
            if all(map(integers.one, [*call.args[1:], *(keyword.value for keyword in call.keywords)]))
        }
        for node in nodes:
            if isinstance(node, ast.Name) and dotted(node, known) == "sum" and node not in proven:
                yield node.lineno, "sum() of floats differs before Python 3.12: add in a loop; integers: xs: list[int]"


def powers(tree: ast.Module) -> Iterator[Finding]:
    """C's pow is not rounded exactly, not for squares either; a negative exponent makes a float of integers."""
    known = imports(tree) | defined(tree)
    for read, name in references(tree):
        if name in _POWERS:
            yield read.lineno, f"{name} calls libm's pow: multiply, or use m0quant.detmath"
    for integers, nodes in scopes(tree):
        for line, base, exponent in _raised(nodes, known):
            if not (isinstance(exponent, ast.Constant) and isinstance(exponent.value, int)):
                yield line, "an exponent that is not a whole constant: multiply, shift, or use m0quant.detmath.pow"
            elif not integers.one(base):
                yield line, "a power of what may be a float calls libm's pow: write x * x, or annotate it as int"


def _raised(nodes: list[ast.AST], known: dict[str, str]) -> Iterator[tuple[int, ast.expr, ast.expr]]:
    """Line, base and exponent of every power; modular ones are of integers alone."""
    for node in nodes:
        match node:
            case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
                yield node.lineno, base, exponent
            case ast.AugAssign(target=base, op=ast.Pow(), value=exponent):
                yield node.lineno, base, exponent
            case ast.Call(func=function, args=[base, exponent]) if dotted(function, known) == "pow":
                yield node.lineno, base, exponent
