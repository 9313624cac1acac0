"""Check a proof against the chain, with nothing but the address of a Solana node.

The checks, in order; VerificationError names the first that fails:

`schema`        the proof has every field in its canonical form, and names the oracle program that was expected
`leaf`          the leaf is a canonical v1 leaf of this market and epoch
`path`          leaf hash and siblings lead to `merkle_root` (RFC 6962 shape)
`header`        the header is a v1 header with this root, leaf count, catalog and epoch
`bundle_hash`   it is the SHA-256 of the header
`attestations`  all are valid and by distinct members of the signer set read from chain, at least the threshold
`chain`         the Epoch account (or, once closed, the Catalog's ring of the 64 latest) finalized exactly this bundle

Without `oracle_program` the program that the proof itself names is trusted: pass the one you know.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from m0client import accounts, attestation, merkle
from m0client.errors import UNDECODABLE, DecodeError, VerificationError
from m0client.header import Header, bundle_hash, decode_header
from m0client.leaf import Leaf, decode_leaf
from m0client.models import Proof
from m0client.rpc import Account

CHECKS = ("schema", "leaf", "path", "header", "bundle_hash", "attestations", "chain")
"""Stable names of the checks, in the order they are made."""

ProofLike = Proof | Mapping[str, object] | bytes | str
_U64 = 1 << 64


@dataclass(frozen=True, slots=True)
class Verified:
    """A proof that holds: the prediction, and what the chain says about it."""

    market_id: str
    catalog: str
    epoch_id: int
    leaf: Leaf
    merkle_root: str
    bundle_hash: str
    header: Header
    signers: tuple[str, ...]
    threshold: int
    oracle_program: str
    source: str
    """`epoch` when the Epoch account was read, `ring` when it is closed and the Catalog account was."""
    slot: int
    """The finalized slot at which the accounts were read."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A proof whose own bytes agree; what remains is what the chain says about `addresses`."""

    proof: Proof
    leaf: Leaf
    header: Header
    program: Pubkey
    addresses: tuple[Pubkey, Pubkey, Pubkey]
    """SignerSet, Epoch, Catalog."""


def read_proof(proof: ProofLike) -> Proof:
    """The proof in a JSON text or object; VerificationError (`schema`) when it is not one."""
    try:
        if isinstance(proof, (bytes, str)):
            return msgspec.json.decode(proof, type=Proof)
        builtins = msgspec.to_builtins(proof) if isinstance(proof, Proof) else proof
        return msgspec.convert(builtins, type=Proof)
    except UNDECODABLE as error:
        raise VerificationError("schema", str(error)) from error


def prepare(proof: ProofLike, oracle_program: str | None = None) -> Claim:
    """Make every check that needs no chain; raises VerificationError."""
    proof = read_proof(proof)
    if proof.schema != 1:
        raise VerificationError("schema", f"proof schema {proof.schema}: this version reads schema 1")
    if proof.epoch_id >= _U64:
        raise VerificationError("schema", f"epoch_id {proof.epoch_id} does not fit 64 bits")
    if proof.chain.commitment != "finalized":
        raise VerificationError("schema", f"commitment {proof.chain.commitment!r}: a proof is of a finalized epoch")
    program = _pubkey(proof.chain.oracle_program, "oracle_program")
    if oracle_program is not None and str(program) != oracle_program:
        raise VerificationError("schema", f"the proof is of program {program}, expected {oracle_program}")
    leaf = _check_leaf(proof)
    _check_path(proof)
    header = _check_header(proof, leaf)
    if bundle_hash(bytes.fromhex(proof.header)).hex() != proof.bundle_hash:
        raise VerificationError("bundle_hash", f"sha256 of the header is not {proof.bundle_hash}")
    addresses = (
        accounts.signer_set_address(program, header.signer_set_id),
        accounts.epoch_address(program, proof.catalog, proof.epoch_id),
        accounts.catalog_address(program, proof.catalog),
    )
    return Claim(proof, leaf, header, program, addresses)


def conclude(claim: Claim, slot: int, found: Sequence[Account | None]) -> Verified:
    """Check the claim against the accounts found at its addresses; raises VerificationError."""
    signer_set, epoch, catalog = found
    members = _check_attestations(claim, signer_set)
    source = _check_chain(claim, members, epoch, catalog)
    proof = claim.proof
    return Verified(
        proof.market_id,
        proof.catalog,
        proof.epoch_id,
        claim.leaf,
        proof.merkle_root,
        proof.bundle_hash,
        claim.header,
        tuple(a.signer for a in proof.attestations),
        members.threshold,
        str(claim.program),
        source,
        slot,
    )


def _pubkey(text: str, name: str) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise VerificationError("schema", f"{name} {text!r} is not a base58 key: {error}") from error


def _check_leaf(proof: Proof) -> Leaf:
    try:
        leaf = decode_leaf(bytes.fromhex(proof.leaf))
    except DecodeError as error:
        raise VerificationError("leaf", str(error)) from error
    if leaf.market_key != hashlib.sha256(proof.market_id.encode()).digest():
        raise VerificationError("leaf", f"market_key {leaf.market_key.hex()} is not sha256 of {proof.market_id}")
    if leaf.epoch_id != proof.epoch_id:
        raise VerificationError("leaf", f"the leaf is of epoch {leaf.epoch_id}, the proof says {proof.epoch_id}")
    return leaf


def _check_path(proof: Proof) -> None:
    hashed = merkle.leaf_hash(bytes.fromhex(proof.leaf))
    siblings = [bytes.fromhex(each) for each in proof.siblings]
    try:
        root = merkle.root_from_path(hashed, proof.leaf_index, proof.leaf_count, siblings)
    except DecodeError as error:
        raise VerificationError("path", str(error)) from error
    if root.hex() != proof.merkle_root:
        raise VerificationError("path", f"leaf and path lead to {root.hex()}, the proof says {proof.merkle_root}")


def _check_header(proof: Proof, leaf: Leaf) -> Header:
    try:
        header = decode_header(bytes.fromhex(proof.header))
    except DecodeError as error:
        raise VerificationError("header", str(error)) from error
    for name, inside, said in (
        ("merkle_root", header.merkle_root.hex(), proof.merkle_root),
        ("leaf_count", header.leaf_count, proof.leaf_count),
        ("catalog", header.catalog, proof.catalog),
        ("epoch_id", header.epoch_id, proof.epoch_id),
        ("window_end_ms", header.window_end_ms, leaf.window_end_ms),
    ):
        if inside != said:
            raise VerificationError("header", f"the header's {name} is {inside}, the proof's {said}")
    return header


def _check_attestations(claim: Claim, account: Account | None) -> accounts.SignerSet:
    proof, set_id = claim.proof, claim.header.signer_set_id
    if account is None:
        raise VerificationError("attestations", f"signer set {set_id} ({claim.addresses[0]}) is not on chain")
    _check_owner("attestations", claim, account, f"signer set {set_id}")
    try:
        members = accounts.decode_signer_set(account.data)
    except DecodeError as error:
        raise VerificationError("attestations", str(error)) from error
    digest = attestation.signer_set_digest(members.id, members.threshold, members.keys)
    if members.id != set_id or members.digest != digest or len(set(members.keys)) != len(members.keys):
        raise VerificationError("attestations", f"the account of signer set {set_id} contradicts itself")
    signed = attestation.attestation_digest(
        bytes(claim.program),
        accounts.catalog_bytes(proof.catalog),
        proof.epoch_id,
        bytes.fromhex(proof.bundle_hash),
        digest,
    )
    seen: set[Pubkey] = set()
    for each in proof.attestations:
        try:
            signer, signature = Pubkey.from_string(each.signer), Signature.from_string(each.signature)
        except ValueError as error:
            raise VerificationError("attestations", f"attestation of {each.signer}: {error}") from error
        if bytes(signer) not in members.keys:
            raise VerificationError("attestations", f"{signer} is not a member of signer set {set_id}")
        if signer in seen:
            raise VerificationError("attestations", f"{signer} attests twice")
        if not attestation.is_signed(signed, signer, signature):
            raise VerificationError("attestations", f"the signature of {signer} is not over this bundle")
        seen.add(signer)
    if len(seen) < max(1, members.threshold):
        raise VerificationError("attestations", f"{len(seen)} signers attest, {members.threshold} are needed")
    return members


def _check_owner(check: str, claim: Claim, account: Account, what: str) -> None:
    if account.owner != claim.program:
        raise VerificationError(check, f"{what} is owned by {account.owner}, not by the oracle program {claim.program}")


def _check_chain(claim: Claim, members: accounts.SignerSet, epoch: Account | None, catalog: Account | None) -> str:
    proof = claim.proof
    if proof.chain.epoch_account != str(claim.addresses[1]):
        raise VerificationError(
            "chain", f"the epoch's account is {claim.addresses[1]}, the proof says {proof.chain.epoch_account}"
        )
    try:
        if epoch is not None:
            _check_owner("chain", claim, epoch, f"epoch {proof.epoch_id}")
            root, source = _epoch_root(claim, accounts.decode_epoch(epoch.data)), "epoch"
        else:
            root, source = _ring_root(claim, catalog), "ring"
    except DecodeError as error:
        raise VerificationError("chain", str(error)) from error
    for name, on_chain, said in (
        ("bundle_hash", root.bundle_hash.hex(), proof.bundle_hash),
        ("merkle_root", root.merkle_root.hex(), proof.merkle_root),
        ("leaf_count", root.leaf_count, proof.leaf_count),
        ("window_end_ms", root.window_end_ms, claim.header.window_end_ms),
    ):
        if on_chain != said:
            raise VerificationError("chain", f"the finalized {name} is {on_chain}, the proof's {said}")
    if root.signers < members.threshold:
        raise VerificationError("chain", f"{root.signers} signers revealed it, {members.threshold} are needed")
    return source


def _epoch_root(claim: Claim, epoch: accounts.EpochAccount) -> accounts.FinalizedRoot:
    proof = claim.proof
    if (epoch.catalog, epoch.epoch_id) != (accounts.catalog_bytes(proof.catalog), proof.epoch_id):
        raise VerificationError("chain", f"the account at {claim.addresses[1]} is of another epoch")
    if epoch.status != accounts.FINALIZED or epoch.finalized is None:
        names = dict(enumerate(accounts.STATUS_NAMES))
        raise VerificationError("chain", f"epoch {proof.epoch_id} is {names.get(epoch.status, epoch.status)}")
    if epoch.signer_set_id != claim.header.signer_set_id:
        raise VerificationError("chain", f"epoch {proof.epoch_id} is of signer set {epoch.signer_set_id}")
    return epoch.finalized


def _ring_root(claim: Claim, account: Account | None) -> accounts.FinalizedRoot:
    proof = claim.proof
    if account is None:
        raise VerificationError("chain", f"neither epoch {proof.epoch_id} nor catalog {proof.catalog} is on chain")
    _check_owner("chain", claim, account, f"catalog {proof.catalog}")
    catalog = accounts.decode_catalog(account.data)
    if catalog.catalog != accounts.catalog_bytes(proof.catalog):
        raise VerificationError("chain", f"the account at {claim.addresses[2]} is of another catalog")
    for root in catalog.ring:
        if root.epoch_id == proof.epoch_id:
            return root
    raise VerificationError(
        "chain",
        f"epoch {proof.epoch_id} of {proof.catalog} has no account and is not among the {len(catalog.ring)} latest "
        f"finalized (the last is {catalog.last_finalized_epoch})",
    )
