"""A bundle as the bundle service wrote it, checked against its own header before it is stored."""

from dataclasses import dataclass

import msgspec
from m0common.canonical import BundleHeader, MerkleTree, PredictionLeaf, leaf_hash
from m0common.errors import DeadLetterError, InvalidValue
from m0common.ids import market_key
from m0common.messages import BundleMessage

_decoder = msgspec.msgpack.Decoder(BundleMessage)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A message whose leaves have the root that its header names."""

    message: BundleMessage
    header: BundleHeader


def read(value: bytes) -> Bundle:
    """Decode and check a message of `m0.bundles.v1`. Raises DeadLetterError naming what does not fit."""
    try:
        message = _decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise DeadLetterError("not_a_bundle", str(error)) from error
    try:
        header = BundleHeader.decode(message.header)
        leaves = [PredictionLeaf.decode(leaf) for leaf in message.leaves]
        keys = [market_key(market_id) for market_id in message.market_ids]
        root = MerkleTree([leaf_hash(leaf) for leaf in message.leaves]).root
    except InvalidValue as error:
        raise DeadLetterError("invalid_bundle", str(error)) from error
    where = f"bundle {header.bundle_hash.hex()} of {message.catalog} epoch {message.epoch_id}"
    if (header.catalog, header.epoch_id) != (message.catalog, message.epoch_id):
        raise DeadLetterError("invalid_bundle", f"{where}: its header is of {header.catalog} epoch {header.epoch_id}")
    if not header.leaf_count == len(leaves) == len(keys) == len(message.models):
        counts = f"{header.leaf_count} in the header, {len(leaves)} leaves, {len(keys)} markets"
        raise DeadLetterError("invalid_bundle", f"{where}: {counts}, {len(message.models)} models")
    if root != header.merkle_root:
        raise DeadLetterError("invalid_bundle", f"{where}: its leaves have root {root.hex()}")
    if keys != [leaf.market_key for leaf in leaves] or sorted(set(keys)) != keys:
        raise DeadLetterError("invalid_bundle", f"{where}: leaves and markets do not match in ascending key order")
    if any(leaf.epoch_id != header.epoch_id for leaf in leaves):
        raise DeadLetterError("invalid_bundle", f"{where}: holds a leaf of another epoch")
    return Bundle(message, header)
