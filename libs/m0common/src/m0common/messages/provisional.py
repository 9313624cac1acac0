"""Output beside the lanes, between markers: not numbered, may be lost, decides nothing."""

import msgspec

from m0common.canonical.leaf import Outcome
from m0common.messages.types import Digest


class ProvisionalRow(msgspec.Struct, frozen=True, array_like=True):
    """What the model may know of a market now (`m0.provisional.rows.v1`); a query to the model stage, not a message of
    the lane. Of several the one with the highest `(life, cause)` counts.
    """

    catalog: str
    partition: int
    life: int
    cause: int
    market_id: str
    event_ms: int
    values: tuple[tuple[str, int], ...]


class ProvisionalPrediction(msgspec.Struct, frozen=True, array_like=True):
    """What the model says of a market now (`m0.provisional.v1`)."""

    catalog: str
    partition: int
    life: int
    cause: int
    market_id: str
    epoch_id: int
    event_ms: int
    window_end_ms: int
    schema_version: int
    outcomes: tuple[Outcome, ...]
    risk_bps: int
    quality_flags: int
    model: str
    model_key: Digest
