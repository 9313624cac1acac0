"""Rows into predictions and proofs."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from m0chain import pda
from m0common.canonical import MerkleTree, Outcome, PredictionLeaf, flag_names
from m0common.fixedpoint import PPB
from m0common.store.postgres import Pool
from solders.pubkey import Pubkey
from solders.signature import Signature

from m0_api.predictions import repository
from m0_api.predictions.schemas import (
    Attestation,
    ChainReference,
    OutcomeProbability,
    Prediction,
    PredictionStatus,
    Proof,
)

TREES_KEPT = 64
PROOF_SCHEMA = 1


def finalized(row: dict[str, Any]) -> Prediction:
    """A leaf of a final epoch as the interface shows it."""
    leaf = PredictionLeaf.decode(row["leaf"])
    return Prediction(
        market_id=row["market_id"],
        catalog=row["catalog"],
        epoch_id=row["epoch_id"],
        status=PredictionStatus.FINALIZED,
        outcomes=_outcomes(row["names"], leaf.outcomes),
        risk_bps=leaf.risk_bps,
        quality_flags=flag_names(leaf.quality_flags),
        model=row["model"],
        model_key=leaf.model_key.hex(),
        features_hash=leaf.features_hash.hex(),
        window_end_ms=leaf.window_end_ms,
        bundle_hash=row["bundle_hash"].hex(),
    )


def provisional(row: dict[str, Any]) -> Prediction:
    """What the models say of an open epoch as the interface shows it."""
    return Prediction(
        market_id=row["market_id"],
        catalog=row["catalog"],
        epoch_id=row["epoch_id"],
        status=PredictionStatus.PROVISIONAL,
        outcomes=_outcomes(row["names"], [Outcome(*each) for each in row["outcomes"]]),
        risk_bps=row["risk_bps"],
        quality_flags=flag_names(row["quality_flags"]),
        model=row["model"],
        model_key=row["model_key"].hex(),
        features_hash=None,
        window_end_ms=row["window_end_ms"],
        bundle_hash=None,
    )


def _outcomes(names: Sequence[str] | None, outcomes: Sequence[Outcome]) -> list[OutcomeProbability]:
    return [
        OutcomeProbability(name=name, p=o.p / PPB, lo=o.lo / PPB, hi=o.hi / PPB, p_ppb=o.p, lo_ppb=o.lo, hi_ppb=o.hi)
        for name, o in zip(names or map(str, range(len(outcomes))), outcomes, strict=False)
    ]


class Trees:
    """Merkle trees of the bundles asked for most recently; a bundle never changes, so neither does its tree."""

    def __init__(self, limit: int = TREES_KEPT) -> None:
        self._limit = limit
        self._kept: OrderedDict[bytes, MerkleTree] = OrderedDict()

    async def of(self, pool: Pool, bundle_hash: bytes) -> MerkleTree:
        """The tree of a stored bundle."""
        tree = self._kept.get(bundle_hash)
        if tree is None:
            tree = MerkleTree(await repository.leaf_hashes(pool, bundle_hash))
            self._kept[bundle_hash] = tree
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        self._kept.move_to_end(bundle_hash)
        return tree


async def proof(pool: Pool, trees: Trees, row: dict[str, Any], cluster: str, oracle: Pubkey) -> Proof:
    """The proof of a leaf whose epoch is final."""
    catalog, epoch_id, bundle_hash = row["catalog"], row["epoch_id"], row["bundle_hash"]
    tree = await trees.of(pool, bundle_hash)
    signed = await repository.attestations(pool, catalog, epoch_id, bundle_hash)
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
