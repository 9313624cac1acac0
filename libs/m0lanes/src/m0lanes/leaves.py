"""From what the model says of a market to what is hashed."""

from m0common.canonical import PredictionLeaf
from m0common.ids import market_key

from m0lanes.bodies import Prediction


def leaf_of(prediction: Prediction) -> PredictionLeaf:
    """The leaf of a final prediction. Raises InvalidValue when it is none."""
    return PredictionLeaf(
        market_key(prediction.market_id),
        prediction.epoch_id,
        prediction.window_end_ms,
        prediction.schema_version,
        prediction.outcomes,
        prediction.risk_bps,
        prediction.quality_flags,
        prediction.model_key,
        prediction.features_hash,
    )
