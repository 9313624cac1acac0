"""The trace of what is published: an epoch's, which the chain does not carry and its name gives."""

import msgspec
from m0common.messages import FinalizedEpoch, FinalizedPrediction
from m0common.telemetry.context import Headers
from m0common.telemetry.traces import TRANSACTION, epoch_span, epoch_trace, inject
from m0common.topics import FINALIZED_EPOCHS, FINALIZED_PREDICTIONS

_epoch = msgspec.msgpack.Decoder(FinalizedEpoch).decode
_prediction = msgspec.msgpack.Decoder(FinalizedPrediction).decode


def publishing(topic: str, value: bytes) -> Headers:
    """The headers of a message that goes out now; an epoch's publication is a span."""
    if topic == FINALIZED_EPOCHS.name:
        epoch = _epoch(value)
        with epoch_span("indexer publish", epoch.catalog, epoch.epoch_id) as span:
            span.note(TRANSACTION, epoch.finalize_signature)
            return inject(epoch_trace(epoch.catalog, epoch.epoch_id))
    if topic == FINALIZED_PREDICTIONS.name:
        prediction = _prediction(value)
        return epoch_trace(prediction.catalog, prediction.epoch_id)
    return ()
