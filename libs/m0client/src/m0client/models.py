"""What the API and the realtime server send. Unknown fields are ignored: the interface may grow."""

from typing import Annotated, Generic, TypeVar

import msgspec

Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""32 bytes in lower-case hex."""
HexBytes = Annotated[str, msgspec.Meta(pattern=r"^(?:[0-9a-f]{2})+\Z")]
Base58 = Annotated[str, msgspec.Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,88}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]
MarketId = Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9_]{1,64}\Z")]
CatalogName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,16}\Z")]


class Attestation(msgspec.Struct, frozen=True):
    """One signer's ed25519 signature over the attestation digest."""

    signer: Base58
    signature: Base58


class ChainReference(msgspec.Struct, frozen=True):
    """Where the epoch was finalized. `slot` and `finalize_signature` are for people; a verifier reads the account."""

    cluster: str
    oracle_program: Base58
    epoch_account: Base58
    commitment: str
    finalize_signature: str | None = None
    slot: Count | None = None


class Proof(msgspec.Struct, frozen=True):
    """A prediction with everything needed to check it; the same from REST, WebSocket and replay."""

    schema: int
    catalog: CatalogName
    epoch_id: Count
    market_id: MarketId
    leaf: HexBytes
    leaf_index: Count
    leaf_count: Count
    siblings: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=32)]
    merkle_root: Hash
    header: HexBytes
    bundle_hash: Hash
    attestations: Annotated[tuple[Attestation, ...], msgspec.Meta(max_length=32)]
    chain: ChainReference

    def to_json(self) -> bytes:
        """The JSON object that travels."""
        return msgspec.json.encode(self)


class Market(msgspec.Struct, frozen=True):
    """A market; `resolution` is None until its outcome is known."""

    market_id: str
    catalog: str
    title: str
    outcomes: tuple[str, ...]
    state: str
    schema_version: int
    opens_ms: int
    resolves_after_ms: int
    # an outcome's index or name or an object, as the API grows: passed on as it came
    resolution: object | None = None


class EpochSigner(msgspec.Struct, frozen=True):
    """How far one signer got in an epoch."""

    signer: str
    committed: bool
    revealed: bool


class Epoch(msgspec.Struct, frozen=True):
    """An epoch; hashes are None until they are known. Of a final one whose `body` is missing, predictions are lost."""

    catalog: str
    epoch_id: int
    status: str
    window_start_ms: int
    window_end_ms: int
    leaf_count: int | None = None
    merkle_root: str | None = None
    bundle_hash: str | None = None
    prev_bundle_hash: str | None = None
    signers: tuple[EpochSigner, ...] = ()
    finalized_slot: int | None = None
    finalize_signature: str | None = None
    body: str | None = None


class PredictedOutcome(msgspec.Struct, frozen=True):
    """One outcome's probability and interval, as decimals and in parts per billion."""

    name: str
    p: float
    lo: float
    hi: float
    p_ppb: int
    lo_ppb: int
    hi_ppb: int


class Prediction(msgspec.Struct, frozen=True):
    """A prediction; `status` is provisional or finalized. A blocked one has no outcomes."""

    market_id: str
    catalog: str
    epoch_id: int
    status: str
    outcomes: tuple[PredictedOutcome, ...]
    risk_bps: int
    quality_flags: tuple[str, ...]
    model: str
    model_key: str
    features_hash: str | None
    window_end_ms: int
    bundle_hash: str | None = None


class Programs(msgspec.Struct, frozen=True):
    """Addresses of the deployed programs; None where one is not deployed."""

    oracle: str | None = None
    registry: str | None = None
    fee_router: str | None = None
    governance: str | None = None


class SignerSetInfo(msgspec.Struct, frozen=True):
    """A signer set as the API lists it."""

    id: int
    threshold: int
    signers: tuple[str, ...]
    activation_epoch: int
    retired: bool


class Info(msgspec.Struct, frozen=True):
    """All that a stranger needs to verify on their own."""

    cluster: str
    rpc_url: str | None
    """A node for anybody, None when the operator names none."""
    ws_url: str | None
    programs: Programs
    signer_sets: tuple[SignerSetInfo, ...]
    version: str


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    items: tuple[T, ...]
    next_cursor: str | None = None
