"""Rows into proofs."""

from collections import OrderedDict
from typing import Any

from m0chain import pda
from m0common.canonical import MerkleTree
from m0common.store.postgres import Pool
from m0index.queries import predictions
from m0index.shapes import Attestation, ChainReference, Proof
from solders.pubkey import Pubkey
from solders.signature import Signature

TREES_KEPT = 64
PROOF_SCHEMA = 1


class Trees:
    """Merkle trees of the bundles asked for most recently; a bundle never changes, so neither does its tree."""

    def __init__(self, limit: int = TREES_KEPT) -> None:
        self._limit = limit
        self._kept: OrderedDict[bytes, MerkleTree] = OrderedDict()

    async def of(self, pool: Pool, bundle_hash: bytes) -> MerkleTree:
        """The tree of a stored bundle."""
        tree = self._kept.get(bundle_hash)
        if tree is None:
            tree = MerkleTree(await predictions.leaf_hashes(pool, bundle_hash))
            self._kept[bundle_hash] = tree
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        self._kept.move_to_end(bundle_hash)
        return tree


async def proof(pool: Pool, trees: Trees, row: dict[str, Any], cluster: str, oracle: Pubkey) -> Proof:
    """The proof of a leaf whose epoch is final."""
    catalog, epoch_id, bundle_hash = row["catalog"], row["epoch_id"], row["bundle_hash"]
    tree = await trees.of(pool, bundle_hash)
    signed = await predictions.attestations(pool, catalog, epoch_id, bundle_hash)
    return Proof(
        schema=PROOF_SCHEMA,
        catalog=catalog,
        epoch_id=epoch_id,
        market_id=row["market_id"],
        leaf=row["leaf"].hex(),
        leaf_index=row["leaf_index"],
        leaf_count=row["leaf_count"],
        siblings=[sibling.hex() for sibling in tree.path(row["leaf_index"])],
        merkle_root=row["merkle_root"].hex(),
        header=row["header"].hex(),
        bundle_hash=bundle_hash.hex(),
        attestations=[
            Attestation(signer=s["signer"], signature=str(Signature.from_bytes(s["attestation"]))) for s in signed
        ],
        chain=ChainReference(
            cluster=cluster,
            oracle_program=str(oracle),
            epoch_account=str(pda.epoch(oracle, catalog, epoch_id)),
            finalize_signature=row["finalize_signature"] or "",
            slot=row["finalized_slot"],
            commitment="finalized",
        ),
    )
