"""What the heart itself says inside lane messages. Bodies of a domain are the domain's; their kinds may not clash."""

from typing import Annotated, TypeVar

import msgspec
from m0common.canonical import ZERO, Outcome
from m0common.canonical.leaf import MAX_OUTCOMES
from m0common.errors import DeadLetterError
from m0common.messages.codec import UNDECODABLE
from m0common.messages.types import (
    I64,
    PARTITIONS_MAX,
    U16,
    U32,
    Count,
    Digest,
    MarketId,
    MarketText,
    Millis,
    ModelText,
    Partition,
    Signed,
)

from m0lanes.control import ATTRIBUTES_MAX, EPOCH_MS_MAX, PARAMS_MAX, Text

VALUES_MAX = 512
"""Named integers of a row."""
STAGES = 3
"""Stages whose digests a marker gathers."""
GroupText = Annotated[str, msgspec.Meta(max_length=32)]
Named = tuple[tuple[Text, I64], ...]
"""`(name, value)`, ascending by name."""

T = TypeVar("T", bound=msgspec.Struct)


class Generation(msgspec.Struct, frozen=True, array_like=True):
    """kind `generation`: a set is in force from here on. `params` ascend by name.

    `reopened`: the lane begins, or begins again after it had ended; markets of before are closed.
    """

    generation: U32
    set_hash: Digest
    epoch_ms: Annotated[int, msgspec.Meta(ge=0, le=EPOCH_MS_MAX)]
    domain: ModelText
    domain_version: U32
    release: Digest
    model: ModelText
    params: Annotated[Named, msgspec.Meta(max_length=PARAMS_MAX)]
    reopened: bool


class MarketOpened(msgspec.Struct, frozen=True, array_like=True):
    """kind `market_opened`: a market takes predictions from here on. `attributes` ascend by name."""

    market_id: MarketId
    group: GroupText
    outcomes: Annotated[tuple[Text, ...], msgspec.Meta(max_length=MAX_OUTCOMES)]
    schema_version: U16
    opens_ms: Millis
    attributes: Annotated[tuple[tuple[Text, Text], ...], msgspec.Meta(max_length=ATTRIBUTES_MAX)]

    def attribute(self, name: str) -> str | None:
        """A domain fact of the market, None when it has none of that name."""
        return dict(self.attributes).get(name)


class MarketClosed(msgspec.Struct, frozen=True, array_like=True):
    """kind `market_closed`: a market takes no more predictions, by the registry, the domain or a generation."""

    market_id: MarketId


class FeatureRow(msgspec.Struct, frozen=True, array_like=True):
    """kind `feature_row`: what the model may know of one market at the end of an epoch; `(name, i64)` ascending.

    `failed` says that the domain could not make the row: the leaf is blocked.
    """

    market_id: MarketText
    epoch_id: Count
    window_end_ms: Millis
    values: Annotated[Named, msgspec.Meta(max_length=VALUES_MAX)]
    features_hash: Digest
    failed: bool


class Prediction(msgspec.Struct, frozen=True, array_like=True):
    """kind `prediction`: a final distribution over a market's outcomes; it becomes a leaf."""

    market_id: MarketText
    epoch_id: Count
    window_end_ms: Millis
    schema_version: U16
    outcomes: Annotated[tuple[Outcome, ...], msgspec.Meta(max_length=MAX_OUTCOMES)]
    risk_bps: U16
    quality_flags: U32
    model: ModelText
    model_key: Digest
    features_hash: Digest


class Marker(msgspec.Struct, frozen=True, array_like=True):
    """kind `marker`: the end of an epoch in one lane, forwarded by every stage after all that came before it.

    `follows` is the generation before its own when that one had no lanes and so no epochs, else its own; 0 where the
    lane knows of none before: it is the first, or the lane came into it behind a gap.
    `next` is the generation that takes force behind it, `next_lanes` are the lanes of that and `following` is the
    release that runs this lane in it, zero bytes where none is or the lane ends; `state_digests` are those of the
    stages passed so far.
    """

    epoch_id: Count
    window_start_ms: Millis
    window_end_ms: Millis
    generation: U32
    follows: U32
    lanes: Annotated[tuple[Partition, ...], msgspec.Meta(min_length=1, max_length=PARTITIONS_MAX)]
    next: tuple[U32, Digest] | None
    next_lanes: Annotated[tuple[Partition, ...], msgspec.Meta(max_length=PARTITIONS_MAX)]
    following: Digest
    set_hash: Digest
    rebase_hash: Digest
    signer_set_id: U32
    input_digest: Digest
    model_key: Digest
    state_digests: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=STAGES)]

    @property
    def ends(self) -> bool:
        """Whether the lane ends here: a generation takes force that has no use for it."""
        return self.next is not None and self.following == ZERO


class Rebased(msgspec.Struct, frozen=True, array_like=True):
    """kind `rebased`: the first message of a new life: every stage goes on from its own root at the epoch's marker.

    `event` is the signed `rebase` as JSON, in which every stage looks for itself who signed it.
    """

    event: Signed


KINDS: dict[str, type[msgspec.Struct]] = {
    "generation": Generation,
    "market_opened": MarketOpened,
    "market_closed": MarketClosed,
    "feature_row": FeatureRow,
    "prediction": Prediction,
    "marker": Marker,
    "rebased": Rebased,
}
"""The heart's own kinds."""
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[msgspec.Struct]] = {}


def decode_body(raw: msgspec.Raw, kind: type[T]) -> T:
    """The body of a lane message. Raises DeadLetterError: a stage before this one says only what it means."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        body = decoder.decode(raw)
    except UNDECODABLE as error:
        raise DeadLetterError("not_a_lane_body", f"{kind.__name__}: {error}") from error
    assert isinstance(body, kind)
    return body
