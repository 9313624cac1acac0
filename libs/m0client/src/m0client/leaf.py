"""PredictionLeaf v1: one market's prediction in one epoch, as it is hashed. Layout: docs/protocol.md."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from m0client.errors import DecodeError

PPB = 1_000_000_000
"""Probabilities are integers in parts per billion."""
FLAG_NAMES = (
    "stale",
    "low_coverage",
    "divergence",
    "outlier",
    "jump",
    "drift",
    "degraded_model",
    "blocked",
    "thin_book",
    "wide_interval",
)
"""Names of the quality flags, lowest bit first."""

_HEAD = struct.Struct("<H32sQqHI")
_OUTCOME = struct.Struct("<III")
_TAIL = struct.Struct("<HI32s32s")
_MAX_OUTCOMES = 32
_MAX_RISK_BPS = 10_000


class LeafOutcome(NamedTuple):
    """Probability of one outcome with its interval, in parts per billion."""

    p: int
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """A decoded leaf. `outcomes` come in the market's registered order; a blocked prediction has none."""

    market_key: bytes
    epoch_id: int
    window_end_ms: int
    schema_version: int
    outcomes: tuple[LeafOutcome, ...]
    risk_bps: int
    quality_flags: int
    model_key: bytes
    features_hash: bytes

    @property
    def flags(self) -> list[str]:
        """Names of the quality flags that are set."""
        return [name for bit, name in enumerate(FLAG_NAMES) if self.quality_flags >> bit & 1]


def decode_leaf(data: bytes) -> Leaf:
    """The leaf in `data`. Raises DecodeError unless the bytes are exactly a canonical v1 leaf within its limits."""
    if len(data) < _HEAD.size + _TAIL.size:
        raise DecodeError(f"leaf of {len(data)} bytes: the shortest v1 leaf has {_HEAD.size + _TAIL.size}")
    schema, market_key, epoch_id, window_end_ms, schema_version, count = _HEAD.unpack_from(data)
    if schema != 1:
        raise DecodeError(f"leaf schema {schema}: this version reads schema 1")
    length = _HEAD.size + count * _OUTCOME.size + _TAIL.size
    if count > _MAX_OUTCOMES or len(data) != length:
        raise DecodeError(f"leaf of {len(data)} bytes says it has {count} outcomes: that would be {length} bytes")
    outcomes = tuple(
        LeafOutcome(*each) for each in _OUTCOME.iter_unpack(data[_HEAD.size : _HEAD.size + count * _OUTCOME.size])
    )
    risk_bps, quality_flags, model_key, features_hash = _TAIL.unpack_from(data, length - _TAIL.size)
    if outcomes and sum(o.p for o in outcomes) != PPB:
        raise DecodeError(f"outcomes sum to {sum(o.p for o in outcomes)} ppb: they must sum to {PPB}")
    for outcome in outcomes:
        if not outcome.lo <= outcome.p <= outcome.hi <= PPB:
            raise DecodeError(f"outcome {tuple(outcome)}: need lo <= p <= hi <= {PPB}")
    if risk_bps > _MAX_RISK_BPS:
        raise DecodeError(f"risk {risk_bps} bps: at most {_MAX_RISK_BPS}")
    return Leaf(
        market_key,
        epoch_id,
        window_end_ms,
        schema_version,
        outcomes,
        risk_bps,
        quality_flags,
        model_key,
        features_hash,
    )
