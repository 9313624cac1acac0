"""The messages of every topic: msgspec structs, versioned by topic name.

`m0.raw.v1` is JSON so that a connector in any language can write it; every other topic is MessagePack.
Integers are exact everywhere; no message that decides a leaf carries a float.
"""

from typing import Annotated, TypeVar

import msgspec

from m0common.canonical.leaf import Outcome

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Millis = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
"""UTC milliseconds from 1970 to the end of year 9999."""
Digest = bytes
"""32 bytes."""


class RawEvent(msgspec.Struct, frozen=True):
    """One event as a connector saw it (`m0.raw.v1`, JSON). `payload` is one of PAYLOADS, by `kind`."""

    source: Name
    source_event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    group: Annotated[str, msgspec.Meta(max_length=32)]
    market_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None
    kind: Name
    event_ms: Millis
    received_ms: Millis
    payload: msgspec.Raw


# --- payloads of m0.raw by kind -------------------------------------------------------------------------------------


class CatalogPayload(msgspec.Struct, frozen=True):
    """kind `catalog`: what a lane works with from here on: its groups, its model and the model's integer parameters."""

    catalog: str
    epoch_ms: Annotated[int, msgspec.Meta(ge=1000)]
    signer_set_id: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    model: Name
    groups: tuple[str, ...]
    params: dict[str, int]


class MarketOpenPayload(msgspec.Struct, frozen=True):
    """kind `market_open`: a market became ACTIVE in the registry. `attributes` are domain facts, e.g. home and away."""

    catalog: str
    outcomes: Annotated[tuple[str, ...], msgspec.Meta(min_length=2, max_length=32)]
    schema_version: int
    opens_ms: Millis
    title: str = ""
    attributes: dict[str, str] = {}


class MarketClosePayload(msgspec.Struct, frozen=True):
    """kind `market_close`: no more predictions for this market."""

    catalog: str
    reason: str = ""


class EpochEndPayload(msgspec.Struct, frozen=True):
    """kind `epoch_end`: the epoch clock's marker; `partitions` is how many lanes the catalog has."""

    catalog: str
    epoch_id: Annotated[int, msgspec.Meta(ge=0)]
    window_start_ms: Millis
    window_end_ms: Millis
    partitions: Annotated[int, msgspec.Meta(ge=1)]


class MatchResultPayload(msgspec.Struct, frozen=True):
    """kind `match_result`: a finished football match. `original_ms` is when it was really played."""

    home: Name
    away: Name
    home_goals: Annotated[int, msgspec.Meta(ge=0, le=99)]
    away_goals: Annotated[int, msgspec.Meta(ge=0, le=99)]
    season: str
    original_ms: Millis


Level = tuple[Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)], Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]]
"""Price in ppb and size in thousandths of a share."""


class BookPayload(msgspec.Struct, frozen=True):
    """kind `book`: the order book of a two-outcome market, first outcome's side, best level first."""

    bids: Annotated[tuple[Level, ...], msgspec.Meta(max_length=64)]
    asks: Annotated[tuple[Level, ...], msgspec.Meta(max_length=64)]
    original_ms: Millis


class QuotePayload(msgspec.Struct, frozen=True):
    """kind `quote`: somebody else's probabilities of a market's outcomes, in ppb; they sum to exactly 1e9."""

    p_ppb: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)], ...], msgspec.Meta(max_length=32)]
    original_ms: Millis


Payload = (
    CatalogPayload
    | MarketOpenPayload
    | MarketClosePayload
    | EpochEndPayload
    | MatchResultPayload
    | BookPayload
    | QuotePayload
)
PAYLOADS: dict[str, type[Payload]] = {
    "catalog": CatalogPayload,
    "market_open": MarketOpenPayload,
    "market_close": MarketClosePayload,
    "epoch_end": EpochEndPayload,
    "match_result": MatchResultPayload,
    "book": BookPayload,
    "quote": QuotePayload,
}
"""What the payload of a raw event is, by its `kind`."""


# --- bodies of lane messages ----------------------------------------------------------------------------------------


class CatalogSet(msgspec.Struct, frozen=True, array_like=True, tag="catalog_set"):
    """The catalog's settings from here on."""

    config_hash: Digest
    epoch_ms: int
    signer_set_id: int
    model: str
    groups: tuple[str, ...]
    params: dict[str, int]


class MarketOpened(msgspec.Struct, frozen=True, array_like=True, tag="market_opened"):
    """A market takes predictions from here on."""

    market_id: str
    group: str
    outcomes: tuple[str, ...]
    schema_version: int
    opens_ms: int
    attributes: dict[str, str]


class MarketClosed(msgspec.Struct, frozen=True, array_like=True, tag="market_closed"):
    """A market takes no more predictions."""

    market_id: str
    reason: str


class MatchResult(msgspec.Struct, frozen=True, array_like=True, tag="match_result"):
    """A finished match. `played_day` counts days since 1970 of when it was really played."""

    event_id: Digest
    group: str
    market_id: str | None
    event_ms: int
    home: str
    away: str
    home_goals: int
    away_goals: int
    season: str
    played_day: int


class BookUpdate(msgspec.Struct, frozen=True, array_like=True, tag="book_update"):
    """An order book at one moment, best level first; prices in ppb, sizes in thousandths."""

    event_id: Digest
    group: str
    market_id: str
    event_ms: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class Quote(msgspec.Struct, frozen=True, array_like=True, tag="quote"):
    """Somebody else's probabilities of a market's outcomes, in ppb, in registry order."""

    event_id: Digest
    market_id: str
    event_ms: int
    p_ppb: tuple[int, ...]


class FeatureRow(msgspec.Struct, frozen=True, array_like=True, tag="feature_row"):
    """What the model may know of one market: `values` are `(name, integer)` in ascending name order."""

    market_id: str
    event_ms: int
    final: bool
    values: tuple[tuple[str, int], ...]
    features_hash: Digest


class Prediction(msgspec.Struct, frozen=True, array_like=True, tag="prediction"):
    """A distribution over a market's outcomes; `final` ones, at a marker, become leaves."""

    market_id: str
    epoch_id: int
    final: bool
    event_ms: int
    window_end_ms: int
    schema_version: int
    outcomes: tuple[Outcome, ...]
    risk_bps: int
    quality_flags: int
    model: str
    model_key: Digest
    features_hash: Digest


class Marker(msgspec.Struct, frozen=True, array_like=True, tag="marker"):
    """The end of an epoch in one lane, forwarded by every stage after everything that came before it.

    `state_digests` holds `(stage, digest)` of the stages passed so far; `lanes` is how many lanes the catalog has;
    `releases` are those of the transitions that worked on the epoch, ascending: more than one make it DEGRADED.
    """

    epoch_id: int
    window_start_ms: int
    window_end_ms: int
    lanes: int
    config_hash: Digest
    signer_set_id: int
    input_digest: Digest
    model_manifest_hash: Digest
    state_digests: tuple[tuple[int, Digest], ...]
    releases: tuple[Digest, ...] = ()


NormalizedBody = CatalogSet | MarketOpened | MarketClosed | MatchResult | BookUpdate | Quote | Marker
FeatureBody = CatalogSet | MarketOpened | MarketClosed | MatchResult | FeatureRow | Marker
PredictionBody = Prediction | Marker
Body = CatalogSet | MarketOpened | MarketClosed | MatchResult | BookUpdate | Quote | FeatureRow | Prediction | Marker


class LaneMessage(msgspec.Struct, frozen=True, array_like=True):
    """The envelope of lane topics. `partition` is the lane's (that of `m0.raw`), `cause` the raw offset behind it."""

    catalog: str
    partition: int
    seq: int
    cause: int
    body: Body


# --- other topics ---------------------------------------------------------------------------------------------------


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """A stage's state of one lane at a marker (`m0.checkpoints.v1`). It resumes at `input_offset + 1`.

    For the bundle stage `partition` is that of `m0.predictions` and `input_seqs` has one entry per source lane.
    `planned` says that the stage stopped here with nothing emitted since, so that another release may go on cleanly.
    """

    stage: int
    catalog: str
    partition: int
    epoch_id: int
    input_offset: int
    input_seqs: dict[int, int]
    out_seq: int
    release: Digest
    digest: Digest
    entities: tuple[tuple[bytes, bytes], ...]
    planned: bool = False


class BundleMessage(msgspec.Struct, frozen=True, array_like=True):
    """A closed epoch (`m0.bundles.v1`): the header, the leaves in tree order and what the two roots were made of.

    `input_digests` are `(partition, digest)`, `state_digests` `(partition, stage, digest)`.
    """

    catalog: str
    epoch_id: int
    seq: int
    header: bytes
    leaves: tuple[bytes, ...]
    market_ids: tuple[str, ...]
    models: tuple[str, ...]
    input_digests: tuple[tuple[int, Digest], ...]
    state_digests: tuple[tuple[int, int, Digest], ...]


class Submission(msgspec.Struct, frozen=True, array_like=True):
    """What a signer did for an epoch (`m0.submissions.v1`); `action` is commit, reveal, finalize or disagree."""

    catalog: str
    epoch_id: int
    signer: bytes
    action: str
    bundle_hash: Digest
    attestation: bytes
    transaction: str
    slot: int
    at_ms: int
    detail: str = ""


class EpochMember(msgspec.Struct, frozen=True, array_like=True):
    """A member of an epoch's signer set and what it did; `bundle_hash` is the bundle it revealed."""

    signer: str
    committed: bool
    revealed: bool
    bundle_hash: Digest | None


class FinalizedEpoch(msgspec.Struct, frozen=True, array_like=True):
    """An epoch became final on chain (`m0.finalized.epochs.v1`)."""

    catalog: str
    epoch_id: int
    window_start_ms: int
    window_end_ms: int
    leaf_count: int
    merkle_root: Digest
    bundle_hash: Digest
    prev_bundle_hash: Digest
    signer_set_id: int
    signers: tuple[EpochMember, ...]
    commit_deadline_ms: int
    reveal_deadline_ms: int
    finalize_signature: str
    slot: int
    at_ms: int


class FinalizedPrediction(msgspec.Struct, frozen=True, array_like=True):
    """One leaf of a final epoch (`m0.finalized.predictions.v1`)."""

    market_id: str
    catalog: str
    epoch_id: int
    bundle_hash: Digest
    leaf_index: int
    leaf: bytes
    model: str


class RegistryMarket(msgspec.Struct, frozen=True, array_like=True):
    """A market as the registry program has it (`m0.registry.v1`, compacted by market id)."""

    market_id: str
    catalog: str
    group: str
    title: str
    outcomes: tuple[str, ...]
    state: str
    schema_version: int
    opens_ms: int
    resolves_after_ms: int
    resolution: int | None
    slot: int


class MarketOutcome(msgspec.Struct, frozen=True, array_like=True):
    """The real-world outcome of a market (`m0.outcomes.v1`); `outcome` is an index, 255 for void."""

    market_id: str
    catalog: str
    outcome: int
    evidence_hash: Digest
    event_ms: int
    source: str


class DeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """A message that could not be processed (`m0.dlq.v1`), with where it came from and why."""

    topic: str
    partition: int
    offset: int
    stage: str
    error: str
    reason: str
    key: bytes | None
    value: bytes


T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()
_json_encoder = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """The MessagePack bytes of any message but RawEvent."""
    return _encoder.encode(message)


def encode_raw(event: RawEvent) -> bytes:
    """The JSON bytes of a raw event."""
    return _json_encoder.encode(event)


def raw_event(
    source: str,
    source_event_id: str,
    group: str,
    market_id: str | None,
    kind: str,
    event_ms: int,
    received_ms: int,
    payload: object,
) -> RawEvent:
    """A RawEvent around a payload struct or dict."""
    body = msgspec.Raw(_json_encoder.encode(payload))
    return RawEvent(source, source_event_id, group, market_id, kind, event_ms, received_ms, body)
