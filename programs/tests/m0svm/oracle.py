"""An oracle ready for use: programs deployed, three signers with threshold two, one catalog."""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m0common.canonical import (
    BundleHeader,
    MerkleTree,
    Outcome,
    PredictionLeaf,
    attestation_digest,
    commitment_hash,
    leaf_hash,
)
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from m0svm.call import Call
from m0svm.chain import SYSTEM, Chain, program_data
from m0svm.idl import PROGRAMS, Idl

EPOCH_MS, COMMIT_MS, REVEAL_MS = 30_000, 10_000, 10_000
FIRST_EPOCH = 60_000_000
CATALOG = b"sports".ljust(16, b"\0")


def built(name: str) -> Path:
    return PROGRAMS / "deploy" / f"{name}.so"


@dataclass
class Bundle:
    """Leaves of an epoch, their tree and header."""

    leaves: list[bytes]
    tree: MerkleTree
    header: BundleHeader

    @property
    def hash(self) -> bytes:
        return self.header.bundle_hash


def leaf(
    epoch_id: int, index: int, *, outcomes: int = 3, market: bytes | None = None, **changes: Any
) -> PredictionLeaf:
    first = 1_000_000_000 - (outcomes - 1) * 10_000_000
    ps = [first, *[10_000_000] * (outcomes - 1)] if outcomes else []
    fields: dict[str, Any] = {
        "market_key": market or index.to_bytes(32, "big"),
        "epoch_id": epoch_id,
        "window_end_ms": (epoch_id + 1) * EPOCH_MS,
        "schema_version": 1,
        "outcomes": tuple(Outcome(p, 0, 1_000_000_000) for p in ps),
        "risk_bps": 250,
        "quality_flags": 5,
        "model_key": bytes([7]) * 32,
        "features_hash": bytes([9]) * 32,
    }
    return PredictionLeaf(**{**fields, **changes})


def bundle(epoch_id: int, leaves: int | list[bytes] = 5, **changes: Any) -> Bundle:
    encoded = [leaf(epoch_id, i).encode() for i in range(leaves)] if isinstance(leaves, int) else leaves
    tree = MerkleTree([leaf_hash(e) for e in encoded])
    fields: dict[str, Any] = {
        "catalog": "sports",
        "epoch_id": epoch_id,
        "window_start_ms": epoch_id * EPOCH_MS,
        "window_end_ms": (epoch_id + 1) * EPOCH_MS,
        "signer_set_id": 1,
        "leaf_count": len(encoded),
        "merkle_root": tree.root,
        "prev_bundle_hash": bytes(32),
        "model_manifest_hash": bytes([1]) * 32,
        "config_hash": bytes([2]) * 32,
        "input_root": bytes([3]) * 32,
        "state_root": bytes([4]) * 32,
    }
    return Bundle(encoded, tree, BundleHeader(**{**fields, **changes}))


@dataclass
class Oracle:
    """The deployed oracle program. `ready` creates its config, signer set and catalog."""

    chain: Chain = field(default_factory=lambda: Chain(FIRST_EPOCH * EPOCH_MS))
    idl: Idl = field(default_factory=lambda: Idl("m0_oracle"))

    def __post_init__(self) -> None:
        self.admin, self.guardian, self.sponsor = (self.chain.funded() for _ in range(3))
        self.signers = sorted((self.chain.funded() for _ in range(3)), key=lambda k: bytes(k.pubkey()))
        self.keys = [k.pubkey() for k in self.signers]
        self.program = self.chain.deploy(built("m0_oracle"), self.idl, self.admin)

    # ---- addresses
    def pda(self, *seeds: bytes) -> Pubkey:
        return Pubkey.find_program_address(list(seeds), self.program)[0]

    @property
    def config(self) -> Pubkey:
        return self.pda(b"config")

    def set_at(self, set_id: int = 1) -> Pubkey:
        return self.pda(b"signer_set", struct.pack("<I", set_id))

    def catalog_at(self, name: bytes = CATALOG) -> Pubkey:
        return self.pda(b"catalog", name)

    def epoch_at(self, epoch_id: int, name: bytes = CATALOG) -> Pubkey:
        return self.pda(b"epoch", name, struct.pack("<Q", epoch_id))

    def feed_at(self, market_key: bytes) -> Pubkey:
        return self.pda(b"feed", market_key)

    # ---- calls
    def call(self, name: str, accounts: dict[str, Keypair | Pubkey], **args: Any) -> Call:
        known: dict[str, Keypair | Pubkey] = {
            "payer": self.sponsor,
            "config": self.config,
            "admin": self.admin,
            "authority": self.admin,
            "system_program": SYSTEM,
            "program_data": program_data(self.program),
            "catalog": self.catalog_at(),
            "signer_set": self.set_at(),
        }
        return Call(self.chain, self.idl, self.program, name, {**known, **accounts}, args)

    def initialize(self) -> Call:
        return self.call("initialize", {}, guardian=self.guardian.pubkey(), registry_program=Pubkey.new_unique())

    def create_signer_set(self, set_id: int = 1, threshold: int = 2, keys: list[Pubkey] | None = None) -> Call:
        args = {
            "id": set_id,
            "threshold": threshold,
            "activation_epoch": 0,
            "keys": self.keys if keys is None else keys,
        }
        return self.call("create_signer_set", {"signer_set": self.set_at(set_id)}, **args)

    def create_catalog(self, name: bytes = CATALOG, set_id: int = 1) -> Call:
        accounts = {"catalog": self.catalog_at(name), "signer_set": self.set_at(set_id)}
        phases = {"epoch_ms": EPOCH_MS, "commit_ms": COMMIT_MS, "reveal_ms": REVEAL_MS}
        return self.call("create_catalog", accounts, catalog=name, **phases)

    def open(self, epoch_id: int, name: bytes = CATALOG, set_id: int = 1) -> Call:
        accounts = {
            "catalog": self.catalog_at(name),
            "signer_set": self.set_at(set_id),
            "epoch": self.epoch_at(epoch_id, name),
        }
        return self.call("open_epoch", accounts, epoch_id=epoch_id)

    def commit(self, epoch_id: int, who: int, what: Bundle | bytes, salt: bytes | None = None) -> Call:
        value = (
            what if isinstance(what, bytes) else self.commitment_hash(epoch_id, who, what.hash, salt or self.salt(who))
        )
        accounts = {"signer": self.signers[who], "epoch": self.epoch_at(epoch_id)}
        return self.call("commit", accounts, commitment=value)

    def reveal(self, epoch_id: int, who: int, what: Bundle | bytes, salt: bytes | None = None) -> Call:
        header = what if isinstance(what, bytes) else what.header.encode()
        accounts = {"signer": self.signers[who], "epoch": self.epoch_at(epoch_id)}
        attestation = self.attestation(epoch_id, who, what) if isinstance(what, Bundle) else bytes(64)
        return self.call("reveal", accounts, header=header, salt=salt or self.salt(who), attestation=attestation)

    def finalize(self, epoch_id: int, name: bytes = CATALOG) -> Call:
        accounts = {"epoch": self.epoch_at(epoch_id, name), "catalog": self.catalog_at(name)}
        return self.call("finalize_epoch", accounts)

    def expire(self, epoch_id: int) -> Call:
        return self.call("expire_epoch", {"epoch": self.epoch_at(epoch_id)})

    def close(self, epoch_id: int, opener: Pubkey | None = None) -> Call:
        return self.call("close_epoch", {"epoch": self.epoch_at(epoch_id), "opener": opener or self.sponsor.pubkey()})

    def verify(self, of: Bundle, index: int, **changes: Any) -> Call:
        args = {
            "epoch_id": of.header.epoch_id,
            "leaf_index": index,
            "max_age_ms": 0,
            "min_signers": 0,
            "leaf": of.leaves[index],
            "siblings": of.tree.path(index),
        }
        return self.call("verify_prediction", {}, **{**args, **changes})

    def post(self, of: Bundle, index: int, **changes: Any) -> Call:
        market_key = of.leaves[index][2:34]
        verify = self.verify(of, index, **changes)
        return self.call("post_prediction", {"feed": self.feed_at(market_key)}, **verify.args)

    # ---- values
    def salt(self, who: int) -> bytes:
        return bytes([who + 1]) * 32

    def commitment_hash(self, epoch_id: int, who: int, bundle_hash: bytes, salt: bytes) -> bytes:
        epoch = bytes(self.epoch_at(epoch_id))
        return commitment_hash(bytes(self.program), epoch, bytes(self.keys[who]), bundle_hash, salt)

    def attestation(self, epoch_id: int, who: int, what: Bundle) -> bytes:
        digest = self.chain.account("SignerSet", self.set_at())["digest"]
        message = attestation_digest(bytes(self.program), "sports", epoch_id, what.hash, digest)
        return bytes(self.signers[who].sign_message(message))

    def epoch(self, epoch_id: int) -> dict[str, Any]:
        return self.chain.account("Epoch", self.epoch_at(epoch_id))

    def catalog(self) -> dict[str, Any]:
        return self.chain.account("Catalog", self.catalog_at())

    # ---- whole steps
    def ready(self) -> "Oracle":
        self.initialize().ok()
        self.create_signer_set().ok()
        self.create_catalog().ok()
        return self

    def at_end_of(self, epoch_id: int, plus_ms: int = 0) -> None:
        """Set the clock to the end of an epoch's window."""
        self.chain.at((epoch_id + 1) * EPOCH_MS + plus_ms)

    def opened(self, epoch_id: int) -> None:
        self.at_end_of(epoch_id)
        self.open(epoch_id).ok()

    def revealed(self, epoch_id: int, what: Bundle, who: tuple[int, ...] = (0, 1, 2)) -> None:
        """Opened, committed to and revealed by `who`."""
        self.opened(epoch_id)
        for w in who:
            self.commit(epoch_id, w, what).ok()
        if len(who) < len(self.signers):
            self.at_end_of(epoch_id, COMMIT_MS + 1000)
        for w in who:
            self.reveal(epoch_id, w, what).ok()

    def finalized(self, epoch_id: int, what: Bundle | None = None) -> Bundle:
        what = what or bundle(epoch_id)
        self.revealed(epoch_id, what, (0, 1, 2))
        self.finalize(epoch_id).ok()
        return what
