"""The data objects of updates and snapshots: the same as the items of REST, encoded once."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from m0common.canonical import Outcome, PredictionLeaf, flag_names
from m0common.fixedpoint import PPB
from m0common.messages import FinalizedEpoch, FinalizedPrediction, ProvisionalPrediction

_encode = msgspec.json.Encoder().encode


def finalized(message: FinalizedPrediction, names: Sequence[str]) -> bytes:
    """As `/v1/predictions/{market_id}/latest` with status finalized; InvalidValue when the leaf is not canonical."""
    leaf = PredictionLeaf.decode(message.leaf)
    return _encode(
        {
            "market_id": message.market_id,
            "catalog": message.catalog,
            "epoch_id": message.epoch_id,
            "status": "finalized",
            "outcomes": _outcomes(leaf.outcomes, names),
            "risk_bps": leaf.risk_bps,
            "quality_flags": flag_names(leaf.quality_flags),
            "model": message.model,
            "model_key": leaf.model_key.hex(),
            "features_hash": leaf.features_hash.hex(),
            "window_end_ms": leaf.window_end_ms,
            "bundle_hash": message.bundle_hash.hex(),
        }
    )


def provisional(message: ProvisionalPrediction, names: Sequence[str]) -> bytes:
    """The same object with status provisional; it is in no bundle, and what the model saw is not told yet."""
    return _encode(
        {
            "market_id": message.market_id,
            "catalog": message.catalog,
            "epoch_id": message.epoch_id,
            "status": "provisional",
            "outcomes": _outcomes(message.outcomes, names),
            "risk_bps": message.risk_bps,
            "quality_flags": flag_names(message.quality_flags),
            "model": message.model,
            "model_key": message.model_key.hex(),
            "features_hash": None,
            "window_end_ms": message.window_end_ms,
            "bundle_hash": None,
        }
    )


def epoch(message: FinalizedEpoch) -> bytes:
    """As the items of `/v1/epochs`."""
    return _encode(
        {
            "catalog": message.catalog,
            "epoch_id": message.epoch_id,
            "status": "finalized",
            "window_start_ms": message.window_start_ms,
            "window_end_ms": message.window_end_ms,
            "leaf_count": message.leaf_count,
            "merkle_root": message.merkle_root.hex(),
            "bundle_hash": message.bundle_hash.hex(),
            "prev_bundle_hash": message.prev_bundle_hash.hex(),
            "signer_set_id": message.signer_set_id,
            "commit_deadline_ms": message.commit_deadline_ms,
            "reveal_deadline_ms": message.reveal_deadline_ms,
            "signers": [
                {
                    "signer": member.signer,
                    "committed": member.committed,
                    "revealed": member.revealed,
                    "bundle_hash": None if member.bundle_hash is None else member.bundle_hash.hex(),
                }
                for member in message.signers
            ],
            "finalized_slot": message.slot,
            "finalize_signature": message.finalize_signature,
        }
    )


def _outcomes(
    outcomes: Iterable[Outcome], names: Sequence[str]
) -> list[dict[str, Any]]:  # values are str, float and int
    return [
        {
            "name": names[i] if i < len(names) else str(i),
            "p": o.p / PPB,
            "lo": o.lo / PPB,
            "hi": o.hi / PPB,
            "p_ppb": o.p,
            "lo_ppb": o.lo,
            "hi_ppb": o.hi,
        }
        for i, o in enumerate(outcomes)
    ]
