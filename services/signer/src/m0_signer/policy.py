"""What a bundle must be before this signer considers it, whoever built it: pure checks that recompute every hash."""

from dataclasses import dataclass
from itertools import pairwise

from m0common.canonical import BundleHeader, MerkleTree, PredictionLeaf, input_root, leaf_hash, state_root
from m0common.chain.accounts import Catalog, SignerSet
from m0common.errors import InvalidValue
from m0common.ids import epoch_window, market_key
from m0common.messages import BundleMessage
from solders.pubkey import Pubkey


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a bundle is not signed: `rule` is a short stable name, `detail` is for people."""

    rule: str
    detail: str


def check_bundle(bundle: BundleMessage) -> BundleHeader | Refusal:
    """The bundle's header when it is consistent in itself: roots, order, counts, epoch and window of every leaf."""
    try:
        header = BundleHeader.decode(bundle.header)
        leaves = [PredictionLeaf.decode(leaf) for leaf in bundle.leaves]
    except InvalidValue as error:
        return Refusal("malformed", str(error))
    if (header.catalog, header.epoch_id) != (bundle.catalog, bundle.epoch_id):
        return Refusal("malformed", f"message of {bundle.catalog} {bundle.epoch_id} carries another epoch's header")
    if not leaves or header.leaf_count != len(leaves):
        return Refusal("leaf_count", f"header says {header.leaf_count} leaves, the bundle has {len(leaves)}")
    if len(bundle.market_ids) != len(leaves) or len(bundle.models) != len(leaves):
        return Refusal("malformed", "market ids, models and leaves differ in number")
    for market_id, leaf in zip(bundle.market_ids, leaves, strict=True):
        if (leaf.epoch_id, leaf.window_end_ms) != (header.epoch_id, header.window_end_ms):
            return Refusal(
                "leaf_window", f"leaf of {market_id} is of epoch {leaf.epoch_id} ending {leaf.window_end_ms}"
            )
        try:
            key = market_key(market_id)
        except InvalidValue as error:
            return Refusal("malformed", str(error))
        if key != leaf.market_key:
            return Refusal("market_key", f"leaf beside {market_id} has the key {leaf.market_key.hex()}")
    keys = [leaf.market_key for leaf in leaves]
    if any(a >= b for a, b in pairwise(keys)):
        return Refusal("leaf_order", "leaves are not in strictly ascending order of market key")
    if MerkleTree([leaf_hash(leaf) for leaf in bundle.leaves]).root != header.merkle_root:
        return Refusal("merkle_root", "the leaves do not lead to the header's Merkle root")
    if input_root(dict(bundle.input_digests)) != header.input_root:
        return Refusal("input_root", "the lanes' input digests do not lead to the header's input root")
    if state_root({(p, stage): digest for p, stage, digest in bundle.state_digests}) != header.state_root:
        return Refusal("state_root", "the stages' state digests do not lead to the header's state root")
    return header


def check_chain(header: BundleHeader, catalog: Catalog, signer_set: SignerSet, me: Pubkey) -> Refusal | None:
    """Whether the chain would take this header from this signer now; None when it would.

    `signer_set` is the catalog's set.
    """
    if epoch_window(header.epoch_id, catalog.epoch_ms) != (header.window_start_ms, header.window_end_ms):
        return Refusal("window", f"window {header.window_start_ms} to {header.window_end_ms} is not that of the epoch")
    if header.signer_set_id != catalog.signer_set_id or signer_set.id != catalog.signer_set_id:
        return Refusal("signer_set", f"header names set {header.signer_set_id}, the catalog {catalog.signer_set_id}")
    if signer_set.retired or signer_set.activation_epoch > header.epoch_id:
        return Refusal("signer_set", f"set {signer_set.id} is retired or not active at epoch {header.epoch_id}")
    if signer_set.index(me) is None:
        return Refusal("not_a_member", f"{me} is not in set {signer_set.id}")
    if catalog.finalized_count and header.epoch_id <= catalog.last_finalized_epoch:
        return Refusal("not_newer", f"epoch {catalog.last_finalized_epoch} is finalized already")
    return None
