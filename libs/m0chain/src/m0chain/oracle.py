"""Builders of m0-oracle's instructions; every account that can be derived is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from m0common.ids import catalog_bytes
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from m0chain import idl, pda
from m0chain.build import build


@dataclass(frozen=True, slots=True)
class LeafClaim:
    """A leaf, its place in the bundle of an epoch, and what the caller demands of it.

    `leaf` is its canonical bytes, `siblings` its path bottom up; `max_age_ms` 0 accepts any age.
    """

    epoch_id: int
    leaf_index: int
    leaf: bytes
    siblings: Sequence[bytes]
    max_age_ms: int = 0
    min_signers: int = 1

    def args(self) -> dict[str, Any]:
        """The arguments of `verify_prediction` and `post_prediction`."""
        return {
            "epoch_id": self.epoch_id,
            "leaf_index": self.leaf_index,
            "max_age_ms": self.max_age_ms,
            "min_signers": self.min_signers,
            "leaf": self.leaf,
            "siblings": list(self.siblings),
        }


@dataclass(frozen=True, slots=True)
class Oracle:
    """Instructions of the m0-oracle deployed at `program`."""

    program: Pubkey

    def _build(self, name: str, accounts: Mapping[str, Pubkey], args: Mapping[str, Any] | None = None) -> Instruction:
        takes = {a.name for a in idl.oracle().instructions[name].accounts}
        config = {"config": pda.config(self.program)} if "config" in takes else {}
        return build(idl.oracle(), self.program, name, {**config, **accounts}, args)

    def _epoch(self, catalog: str, epoch_id: int) -> dict[str, Pubkey]:
        return {
            "catalog": pda.catalog(self.program, catalog),
            "epoch": pda.epoch(self.program, catalog, epoch_id),
        }

    def initialize(self, payer: Pubkey, admin: Pubkey, guardian: Pubkey, registry_program: Pubkey) -> Instruction:
        """Create the config; `admin` must be the program's upgrade authority."""
        accounts = {"payer": payer, "admin": admin, "program_data": pda.program_data(self.program)}
        return self._build("initialize", accounts, {"guardian": guardian, "registry_program": registry_program})

    def propose_admin(self, authority: Pubkey, new_admin: Pubkey) -> Instruction:
        """First step of handing the admin role over."""
        return self._build("propose_admin", {"authority": authority}, {"new_admin": new_admin})

    def accept_admin(self, authority: Pubkey) -> Instruction:
        """Second step: the proposed admin accepts."""
        return self._build("accept_admin", {"authority": authority})

    def set_guardian(self, authority: Pubkey, guardian: Pubkey) -> Instruction:
        """Replace the guardian."""
        return self._build("set_guardian", {"authority": authority}, {"guardian": guardian})

    def set_paused(self, authority: Pubkey, paused: bool) -> Instruction:
        """Pause (guardian or admin) or resume (admin)."""
        return self._build("set_paused", {"authority": authority}, {"paused": paused})

    def create_signer_set(
        self,
        payer: Pubkey,
        admin: Pubkey,
        set_id: int,
        threshold: int,
        keys: Sequence[Pubkey],
        activation_epoch: int = 0,
    ) -> Instruction:
        """Create a signer set; `keys` may come in any order, the chain wants them ascending."""
        accounts = {"payer": payer, "admin": admin, "signer_set": pda.signer_set(self.program, set_id)}
        args = {
            "id": set_id,
            "threshold": threshold,
            "activation_epoch": activation_epoch,
            "keys": sorted(keys, key=bytes),
        }
        return self._build("create_signer_set", accounts, args)

    def retire_signer_set(self, admin: Pubkey, set_id: int) -> Instruction:
        """No epoch is opened under the set any more."""
        return self._build("retire_signer_set", {"admin": admin, "signer_set": pda.signer_set(self.program, set_id)})

    def create_catalog(
        self, payer: Pubkey, admin: Pubkey, catalog: str, set_id: int, epoch_ms: int, commit_ms: int, reveal_ms: int
    ) -> Instruction:
        """Create a catalog with its phase lengths in milliseconds."""
        accounts = {
            "payer": payer,
            "admin": admin,
            "catalog": pda.catalog(self.program, catalog),
            "signer_set": pda.signer_set(self.program, set_id),
        }
        args = {
            "catalog": catalog_bytes(catalog),
            "epoch_ms": epoch_ms,
            "commit_ms": commit_ms,
            "reveal_ms": reveal_ms,
        }
        return self._build("create_catalog", accounts, args)

    def set_catalog_signer_set(self, admin: Pubkey, catalog: str, set_id: int) -> Instruction:
        """Epochs opened later are signed by another set."""
        accounts = {
            "admin": admin,
            "catalog": pda.catalog(self.program, catalog),
            "signer_set": pda.signer_set(self.program, set_id),
        }
        return self._build("set_catalog_signer_set", accounts)

    def open_epoch(self, payer: Pubkey, catalog: str, epoch_id: int, set_id: int) -> Instruction:
        """Open an epoch whose window is over; `set_id` is the catalog's current signer set."""
        accounts = {
            **self._epoch(catalog, epoch_id),
            "payer": payer,
            "signer_set": pda.signer_set(self.program, set_id),
        }
        return self._build("open_epoch", accounts, {"epoch_id": epoch_id})

    def commit(self, signer: Pubkey, catalog: str, epoch_id: int, set_id: int, commitment: bytes) -> Instruction:
        """Commit to a bundle without showing it."""
        return self._build("commit", self._member(signer, catalog, epoch_id, set_id), {"commitment": commitment})

    def reveal(
        self, signer: Pubkey, catalog: str, epoch_id: int, set_id: int, header: bytes, salt: bytes, attestation: bytes
    ) -> Instruction:
        """Show the header committed to, and attest it."""
        args = {"header": header, "salt": salt, "attestation": attestation}
        return self._build("reveal", self._member(signer, catalog, epoch_id, set_id), args)

    def _member(self, signer: Pubkey, catalog: str, epoch_id: int, set_id: int) -> dict[str, Pubkey]:
        return {
            "signer": signer,
            "signer_set": pda.signer_set(self.program, set_id),
            "epoch": pda.epoch(self.program, catalog, epoch_id),
        }

    def finalize_epoch(self, catalog: str, epoch_id: int) -> Instruction:
        """Finalize the root that a threshold of signers revealed."""
        return self._build("finalize_epoch", self._epoch(catalog, epoch_id))

    def expire_epoch(self, catalog: str, epoch_id: int) -> Instruction:
        """Record that an epoch found no quorum in time."""
        return self._build("expire_epoch", self._epoch(catalog, epoch_id))

    def close_epoch(self, catalog: str, epoch_id: int, opener: Pubkey) -> Instruction:
        """Give an epoch's rent back to the account that opened it."""
        return self._build("close_epoch", {**self._epoch(catalog, epoch_id), "opener": opener})

    def verify_prediction(self, catalog: str, claim: LeafClaim) -> Instruction:
        """Check a leaf against the ring of finalized roots."""
        return self._build("verify_prediction", {"catalog": pda.catalog(self.program, catalog)}, claim.args())

    def post_prediction(self, payer: Pubkey, catalog: str, market_id: str, claim: LeafClaim) -> Instruction:
        """Check a leaf and keep it in the market's feed account."""
        accounts = {
            "payer": payer,
            "catalog": pda.catalog(self.program, catalog),
            "feed": pda.feed(self.program, market_id),
        }
        return self._build("post_prediction", accounts, claim.args())
