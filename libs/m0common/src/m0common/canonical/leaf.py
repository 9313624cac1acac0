"""PredictionLeaf v1: one market's prediction for one epoch, as it is hashed into the bundle."""

import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

from m0common.errors import InvalidValue
from m0common.fixedpoint import BPS, PPB

SCHEMA = 1
MAX_OUTCOMES = 32

_HEAD = struct.Struct("<H32sQqH")
_COUNT = struct.Struct("<I")
_OUTCOME = struct.Struct("<III")
_TAIL = struct.Struct("<HI32s32s")


class FLAGS(IntFlag):
    """Quality flags of a leaf; the table with their meanings is in docs/protocol.md."""

    STALE = 1 << 0
    LOW_COVERAGE = 1 << 1
    DIVERGENCE = 1 << 2
    OUTLIER = 1 << 3
    JUMP = 1 << 4
    DRIFT = 1 << 5
    DEGRADED_MODEL = 1 << 6
    BLOCKED = 1 << 7
    THIN_BOOK = 1 << 8
    WIDE_INTERVAL = 1 << 9


def flag_names(mask: int) -> list[str]:
    """Lower-case names of the bits set in `mask`, lowest bit first."""
    return [flag.name.lower() for flag in FLAGS if mask & flag and flag.name is not None]


class Outcome(NamedTuple):
    """Probability of one outcome with its interval, in parts per billion."""

    p: int
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class PredictionLeaf:
    """One leaf; `encode` gives the bytes that are hashed. Raises InvalidValue when a field breaks its limit."""

    market_key: bytes
    epoch_id: int
    window_end_ms: int
    schema_version: int
    outcomes: tuple[Outcome, ...]
    risk_bps: int
    quality_flags: int
    model_key: bytes
    features_hash: bytes

    def __post_init__(self) -> None:
        for name in ("market_key", "model_key", "features_hash"):
            if len(getattr(self, name)) != 32:
                raise InvalidValue(f"{name} of {len(getattr(self, name))} bytes: it is a 32-byte hash")
        if len(self.outcomes) > MAX_OUTCOMES:
            raise InvalidValue(f"{len(self.outcomes)} outcomes: at most {MAX_OUTCOMES}")
        if self.outcomes and sum(o.p for o in self.outcomes) != PPB:
            raise InvalidValue(f"outcomes sum to {sum(o.p for o in self.outcomes)} ppb: they sum to {PPB}")
        for o in self.outcomes:
            if not 0 <= o.lo <= o.p <= o.hi <= PPB:
                raise InvalidValue(f"outcome {tuple(o)}: need 0 <= lo <= p <= hi <= {PPB}")
        if not 0 <= self.risk_bps <= BPS:
            raise InvalidValue(f"risk {self.risk_bps} bps: 0 to {BPS}")

    def encode(self) -> bytes:
        """The canonical bytes. Raises InvalidValue when an integer does not fit its field."""
        try:
            return b"".join(
                (
                    _HEAD.pack(SCHEMA, self.market_key, self.epoch_id, self.window_end_ms, self.schema_version),
                    _COUNT.pack(len(self.outcomes)),
                    *(_OUTCOME.pack(*o) for o in self.outcomes),
                    _TAIL.pack(self.risk_bps, self.quality_flags, self.model_key, self.features_hash),
                ),
            )
        except struct.error as error:
            raise InvalidValue(f"leaf of epoch {self.epoch_id}: an integer does not fit its field ({error})") from error

    @classmethod
    def decode(cls, data: bytes) -> "PredictionLeaf":
        """The leaf in `data`; raises InvalidValue unless the bytes are exactly canonical."""
        try:
            schema, market_key, epoch_id, window_end_ms, schema_version = _HEAD.unpack_from(data)
            (count,) = _COUNT.unpack_from(data, _HEAD.size)
            at = _HEAD.size + _COUNT.size
            if schema != SCHEMA or count > MAX_OUTCOMES or len(data) != at + count * _OUTCOME.size + _TAIL.size:
                raise InvalidValue(f"leaf of {len(data)} bytes, schema {schema}, {count} outcomes: not a v1 leaf")
            outcomes = tuple(Outcome(*_OUTCOME.unpack_from(data, at + i * _OUTCOME.size)) for i in range(count))
            tail = _TAIL.unpack_from(data, at + count * _OUTCOME.size)
        except struct.error as error:
            raise InvalidValue(f"leaf of {len(data)} bytes: too short for a v1 leaf") from error
        return cls(market_key, epoch_id, window_end_ms, schema_version, outcomes, *tail)
