"""The messages that parts of the system say to one another: msgspec structs, versioned by topic name.

`m0.raw.v1` is JSON so that a connector in any language can write it; every other topic is MessagePack. Integers are
exact everywhere; no message that decides a leaf carries a float.

Envelopes live here, one module per owner; what is inside a lane message belongs to the heart and to the domains.
"""

from m0common.messages.bundles import BundlePiece, HeaderLane, HeaderMessage
from m0common.messages.codec import encode, encode_raw
from m0common.messages.index import (
    EpochMember,
    FinalizedEpoch,
    FinalizedPrediction,
    MarketOutcome,
    RegistryMarket,
    Submission,
)
from m0common.messages.lanes import LaneMessage
from m0common.messages.letters import DeadLetter
from m0common.messages.provisional import ProvisionalPrediction, ProvisionalRow
from m0common.messages.raw import RawEvent, raw_event
from m0common.messages.state import InputSeq, Manifest, StateBatch
from m0common.messages.types import Digest, Millis

__all__ = [
    "BundlePiece",
    "DeadLetter",
    "Digest",
    "EpochMember",
    "FinalizedEpoch",
    "FinalizedPrediction",
    "HeaderLane",
    "HeaderMessage",
    "InputSeq",
    "LaneMessage",
    "Manifest",
    "MarketOutcome",
    "Millis",
    "ProvisionalPrediction",
    "ProvisionalRow",
    "RawEvent",
    "RegistryMarket",
    "StateBatch",
    "Submission",
    "encode",
    "encode_raw",
    "raw_event",
]
