"""Output beside the lanes, between markers: not numbered, may be lost, decides nothing."""

import msgspec

from m0common.canonical.leaf import Outcome
from m0common.messages.types import (
    U16,
    CatalogText,
    Count,
    CountOrNone,
    Digest,
    Life,
    MarketText,
    Millis,
    ModelText,
    Partition,
)


class ProvisionalRow(msgspec.Struct, frozen=True, array_like=True):
    """What the model may know of a market now (`m0.provisional.rows.v1`); a query to the model stage, not a message of
    the lane. Of several the one with the highest `(life, cause)` counts.
    """

    catalog: CatalogText
    partition: Partition
    life: Life
    cause: CountOrNone
    market_id: MarketText
    event_ms: Millis
    values: tuple[tuple[str, int], ...]


class ProvisionalPrediction(msgspec.Struct, frozen=True, array_like=True):
    """What the model says of a market now (`m0.provisional.v1`)."""

    catalog: CatalogText
    partition: Partition
    life: Life
    cause: CountOrNone
    market_id: MarketText
    epoch_id: Count
    event_ms: Millis
    window_end_ms: int
    schema_version: U16
    outcomes: tuple[Outcome, ...]
    risk_bps: int
    quality_flags: int
    model: ModelText
    model_key: Digest
