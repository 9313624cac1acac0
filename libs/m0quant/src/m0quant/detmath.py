"""Elementary functions that give the same bits on every machine.

The C library's `exp`, `log` and `pow` differ between platforms in the last bit, and a hashed state that went through
one of them would not replay. These are built from the IEEE 754 operations + - * / alone, which are correctly rounded
everywhere, by range reduction and the polynomials of FreeBSD's msun (`e_exp.c`, `e_log.c`). Relative error is below
1e-15 for `exp`, `log`, `expm1`, `log1p` and `sigmoid`; that of `pow` grows with `abs(y * log(x))`, 1e-14 at 40.

For the same reason model code neither uses `**` on floats nor the built-in `sum` on floats, which compensates since
Python 3.12 and did not before: use `total`.
"""

import math
from collections.abc import Iterable, Sequence

from m0quant.errors import QuantError

_LN2 = 0.6931471805599453
_LN2_HI = 6.93147180369123816490e-01
_LN2_LO = 1.90821492927058770002e-10
_INV_LN2 = 1.44269504088896338700
_SQRT_HALF = 0.7071067811865476
_EXP_MAX = 709.782712893384
_EXP_MIN = -745.1332191019412

_P1 = 1.66666666666666019037e-01
_P2 = -2.77777777770155933842e-03
_P3 = 6.61375632143793436117e-05
_P4 = -1.65339022054652515390e-06
_P5 = 4.13813679705723846039e-08

_L1 = 6.666666666666735130e-01
_L2 = 3.999999999940941908e-01
_L3 = 2.857142874366239149e-01
_L4 = 2.222219843214978396e-01
_L5 = 1.818357216161805012e-01
_L6 = 1.531383769920937332e-01
_L7 = 1.479819860511658591e-01


def total(values: Iterable[float]) -> float:
    """The plain left-to-right sum of floats, the same on every Python version."""
    result = 0.0
    for value in values:
        result += value
    return result


def _reduce(x: float) -> tuple[int, float, float]:
    """`x = k ln 2 + high - low` with `abs(high - low) <= ln 2 / 2`."""
    k = math.floor(x * _INV_LN2 + 0.5)
    return k, x - k * _LN2_HI, k * _LN2_LO


def _expm1_core(high: float, low: float) -> float:
    """`exp(high - low) - 1` for a reduced argument."""
    r = high - low
    t = r * r
    c = r - t * (_P1 + t * (_P2 + t * (_P3 + t * (_P4 + t * _P5))))
    return high - (low - r * c / (2.0 - c))


def exp(x: float) -> float:
    """E to the power `x`; 0.0 below the smallest double. Raises QuantError on overflow and NaN."""
    if x < _EXP_MIN:
        return 0.0
    if not x <= _EXP_MAX:
        raise QuantError(f"exp({x}): the argument must be a number of at most {_EXP_MAX}")
    k, high, low = _reduce(x)
    return math.ldexp(1.0 + _expm1_core(high, low), k)


def expm1(x: float) -> float:
    """`exp(x) - 1`, exact in the last digits near zero. Raises QuantError on overflow and NaN."""
    if -1e-17 < x < 1e-17:
        return x
    if x < -40.0:
        return -1.0
    if not x <= _EXP_MAX:
        raise QuantError(f"expm1({x}): the argument must be a number of at most {_EXP_MAX}")
    k, high, low = _reduce(x)
    core = _expm1_core(high, low)
    if k == 0:
        return core
    if k > 60:
        return math.ldexp(1.0 + core, k) - 1.0
    scale = math.ldexp(1.0, k)
    return scale * core + (scale - 1.0)


def log(x: float) -> float:
    """The natural logarithm. Raises QuantError unless `x` is positive and finite."""
    if not 0.0 < x < math.inf:
        raise QuantError(f"log({x}): the argument must be positive and finite")
    mantissa, k = math.frexp(x)
    if mantissa < _SQRT_HALF:
        mantissa, k = mantissa * 2.0, k - 1
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    r = z * (_L1 + z * (_L2 + z * (_L3 + z * (_L4 + z * (_L5 + z * (_L6 + z * _L7))))))
    half = 0.5 * f * f
    return k * _LN2_HI - ((half - (s * (half + r) + k * _LN2_LO)) - f)


def log1p(x: float) -> float:
    """`log(1 + x)`, exact in the last digits near zero. Raises QuantError unless `-1 < x < inf`."""
    u = 1.0 + x
    if u == 1.0:
        return x
    return log(u) - ((u - 1.0) - x) / u


def sigmoid(x: float) -> float:
    """The logistic function `1 / (1 + exp(-x))`."""
    if x >= 0.0:
        return 1.0 / (1.0 + exp(-x))
    e = exp(x)
    return e / (1.0 + e)


def pow(x: float, y: float) -> float:  # noqa: A001 - the name mathematics gives it
    """`x` to the power `y` for `x > 0`, and 0.0 for `x == 0` with `y > 0`."""
    if x == 0.0 and y > 0.0:
        return 0.0
    return exp(y * log(x))


def logsumexp(values: Sequence[float]) -> float:
    """`log(sum(exp(v)))` without overflow. Raises QuantError when `values` is empty."""
    if not values:
        raise QuantError("logsumexp of nothing: pass at least one value")
    top = max(values)
    return top + log(total(exp(v - top) for v in values))
