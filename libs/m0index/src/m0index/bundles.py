"""Headers and pieces as they come from the log, and the bundle that both make together.

A piece is named by the sha256 of the message it came in, so whoever wrote it, it is the right one or another. A header
names its pieces; whether their leaves are those it commits to is computed here, before anything is stored.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from m0common.canonical import (
    BundleHeader,
    LaneModel,
    MerkleTree,
    PredictionLeaf,
    input_root,
    leaf_hash,
    model_manifest_hash,
    state_root,
)
from m0common.errors import DeadLetterError, InvalidValue
from m0common.ids import check_catalog, market_key
from m0common.messages import BundlePiece, HeaderLane, HeaderMessage
from m0common.messages.bundles import PIECE_MAX_BYTES
from m0common.messages.codec import checked
from m0common.stream.door import MODEL_MAX_BYTES, check_count, check_digest, check_text, decoded
from m0common.stream.restored import LANE_STAGES

PIECES_MAX = 1024
"""A bundle is put together in memory: at most this many pieces of 256 KiB."""
PARTITIONS_END = 1 << 32
"""A lane's partition is a u32 where it is hashed."""
_headers = msgspec.msgpack.Decoder(HeaderMessage)
_pieces = msgspec.msgpack.Decoder(BundlePiece)


@dataclass(frozen=True, slots=True)
class Piece:
    """A checked piece. `name` is the sha256 of `value`, the message's bytes."""

    name: bytes
    value: bytes
    message: BundlePiece


@dataclass(frozen=True, slots=True)
class Header:
    """A checked message of `m0.headers.v1`. `name` is the sha256 of `value`, its bytes.

    Anybody may write another message about the same canonical header, with other pieces.
    """

    name: bytes
    value: bytes
    message: HeaderMessage
    header: BundleHeader

    @property
    def empty(self) -> bool:
        """Whether the epoch has no leaves: it is then in no chain of bundles and nobody votes on it."""
        return self.header.leaf_count == 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """A header with leaves that have the root it names, ascending by key."""

    header: Header
    leaves: tuple[bytes, ...]
    leaf_hashes: tuple[bytes, ...]
    market_ids: tuple[str, ...]
    models: tuple[str, ...]


def read_piece(value: bytes) -> Piece:
    """Decode and check a message of `m0.bundles.v1` as far as it can be alone. Raises DeadLetterError."""
    if len(value) > PIECE_MAX_BYTES:
        raise DeadLetterError("invalid_piece", f"{len(value)} bytes: a piece has at most {PIECE_MAX_BYTES}")
    message = decoded(_pieces, value, "invalid_piece")
    with checked("invalid_piece"):
        check_catalog(message.catalog)
        counts = (len(message.leaves), len(message.market_ids), len(message.models))
        if not counts[0] == counts[1] == counts[2] > 0:
            raise InvalidValue(
                f"{counts[0]} leaves, {counts[1]} markets, {counts[2]} models: as many of each, not none"
            )
        for model in message.models:
            check_text("model", model, MODEL_MAX_BYTES)
        for leaf, market_id in zip(message.leaves, message.market_ids, strict=True):
            if PredictionLeaf.decode(leaf).market_key != market_key(market_id):
                raise InvalidValue(f"the leaf of {market_id} has the key of another market")
    return Piece(hashlib.sha256(value).digest(), value, message)


def read_header(value: bytes) -> Header:
    """Decode and check a message of `m0.headers.v1` as far as it can be without its pieces. Raises DeadLetterError."""
    message = decoded(_headers, value, "invalid_header")
    with checked("invalid_header"):
        header = BundleHeader.decode(message.header)
        if (header.catalog, header.epoch_id) != (message.catalog, message.epoch_id):
            raise InvalidValue(
                f"header of {header.catalog} epoch {header.epoch_id} "
                f"in a message of {message.catalog[:32]!r} epoch {message.epoch_id}"
            )
        check_count("epoch_id", header.epoch_id)
        if not (len(message.pieces) > 0) == (header.leaf_count > 0) or len(message.pieces) > header.leaf_count:
            raise InvalidValue(f"{len(message.pieces)} pieces for {header.leaf_count} leaves: one to as many as leaves")
        if len(message.pieces) > PIECES_MAX:
            raise InvalidValue(f"{len(message.pieces)} pieces: at most {PIECES_MAX}")
        for name in message.pieces:
            check_digest("name of a piece", name)
        _check_lanes(header, message.lanes)
    return Header(hashlib.sha256(value).digest(), value, message, header)


def _check_lanes(header: BundleHeader, lanes: Sequence[HeaderLane]) -> None:
    """Raise InvalidValue unless the header commits to what the lanes brought: inputs, states and what decided them."""
    partitions = [lane.partition for lane in lanes]
    if partitions != sorted(set(partitions)) or any(not 0 <= p < PARTITIONS_END for p in partitions):
        raise InvalidValue(f"lanes {partitions[:32]}: partitions ascend, each once, from 0 and below {PARTITIONS_END}")
    for lane in lanes:
        for digest in (lane.input_digest, *lane.stage_digests, *lane.digests_before):
            check_digest("digest of a lane", digest)
        if len(lane.stage_digests) != len(LANE_STAGES):
            raise InvalidValue(f"lane {lane.partition} has {len(lane.stage_digests)} stages: it has {len(LANE_STAGES)}")
    states = {(lane.partition, at): d for lane in lanes for at, d in zip(LANE_STAGES, lane.stage_digests, strict=True)}
    made = {
        "input root": (header.input_root, input_root({lane.partition: lane.input_digest for lane in lanes})),
        "state root": (header.state_root, state_root(states)),
        "model manifest hash": (
            header.model_manifest_hash,
            model_manifest_hash(LaneModel(lane.partition, lane.release, lane.model_key) for lane in lanes),
        ),
    }
    for what, (committed, found) in made.items():
        if committed != found:
            raise InvalidValue(f"{what} {committed.hex()} in the header: its lanes come to {found.hex()}")


def assemble(header: Header, pieces: Sequence[BundlePiece]) -> Bundle:
    """The bundle of a header and the pieces it names, in its order. Raises DeadLetterError naming what does not fit."""
    wanted = header.header
    where = f"bundle {wanted.bundle_hash.hex()} of {wanted.catalog} epoch {wanted.epoch_id}"
    foreign = next((piece.catalog for piece in pieces if piece.catalog != wanted.catalog), None)
    if foreign is not None:
        raise DeadLetterError("invalid_bundle", f"{where}: holds a piece of {foreign}")
    leaves = tuple(leaf for piece in pieces for leaf in piece.leaves)
    market_ids = tuple(market_id for piece in pieces for market_id in piece.market_ids)
    models = tuple(model for piece in pieces for model in piece.models)
    if len(leaves) != wanted.leaf_count:
        raise DeadLetterError("invalid_bundle", f"{where}: {wanted.leaf_count} in the header, {len(leaves)} leaves")
    hashes = tuple(leaf_hash(leaf) for leaf in leaves)
    root = MerkleTree(hashes).root
    if root != wanted.merkle_root:
        raise DeadLetterError("invalid_bundle", f"{where}: its leaves have root {root.hex()}")
    keys = [market_key(market_id) for market_id in market_ids]
    read = [PredictionLeaf.decode(leaf) for leaf in leaves]
    if keys != [leaf.market_key for leaf in read] or sorted(set(keys)) != keys:
        raise DeadLetterError("invalid_bundle", f"{where}: leaves and markets do not match in ascending key order")
    if any(leaf.epoch_id != wanted.epoch_id for leaf in read):
        raise DeadLetterError("invalid_bundle", f"{where}: holds a leaf of another epoch")
    return Bundle(header, leaves, hashes, market_ids, models)
