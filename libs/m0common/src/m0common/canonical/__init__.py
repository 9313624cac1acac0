"""Canonical bytes: everything that is hashed, signed or stored on chain. Layouts are in docs/protocol.md.

This package imports nothing but hashing and identifiers, so that it can be read on its own by an auditor.
"""

from m0common.canonical.commitment import attestation_digest, commitment, signer_set_digest
from m0common.canonical.header import BundleHeader
from m0common.canonical.leaf import FLAGS, Outcome, PredictionLeaf, flag_names
from m0common.canonical.merkle import MerkleTree, leaf_hash, node_hash, root_from_path
from m0common.canonical.mountain import MountainRange
from m0common.canonical.roots import LaneDigest, input_root, state_digest, state_root

__all__ = [
    "FLAGS",
    "BundleHeader",
    "LaneDigest",
    "MerkleTree",
    "MountainRange",
    "Outcome",
    "PredictionLeaf",
    "attestation_digest",
    "commitment",
    "flag_names",
    "input_root",
    "leaf_hash",
    "node_hash",
    "root_from_path",
    "signer_set_digest",
    "state_digest",
    "state_root",
]
