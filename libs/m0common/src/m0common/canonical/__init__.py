"""Canonical bytes: everything that is hashed, signed or stored on chain. Layouts are in docs/protocol.md.

This package imports nothing but hashing and identifiers, so that it can be read on its own by an auditor.
"""

from m0common.canonical.control import (
    LaneConfig,
    LaneModel,
    certificate_message,
    config_hash,
    control_message,
    event_id,
    model_manifest_hash,
    rebase_hash,
    set_hash,
)
from m0common.canonical.header import BundleHeader
from m0common.canonical.leaf import FLAGS, Outcome, PredictionLeaf, flag_names
from m0common.canonical.merkle import MerkleTree, leaf_hash, node_hash, root_from_path
from m0common.canonical.mountain import MountainRange
from m0common.canonical.roots import ZERO, LaneDigest, input_root, state_root
from m0common.canonical.trie import Trie, state_digest
from m0common.canonical.votes import attestation_digest, commitment_hash, signer_set_digest

__all__ = [
    "FLAGS",
    "ZERO",
    "BundleHeader",
    "LaneConfig",
    "LaneDigest",
    "LaneModel",
    "MerkleTree",
    "MountainRange",
    "Outcome",
    "PredictionLeaf",
    "Trie",
    "attestation_digest",
    "certificate_message",
    "commitment_hash",
    "config_hash",
    "control_message",
    "event_id",
    "flag_names",
    "input_root",
    "leaf_hash",
    "model_manifest_hash",
    "node_hash",
    "rebase_hash",
    "root_from_path",
    "set_hash",
    "signer_set_digest",
    "state_digest",
    "state_root",
]
