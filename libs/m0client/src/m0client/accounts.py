"""The three m0-oracle accounts a verifier reads: where they are and what their bytes say. Layouts: docs/protocol.md."""

import hashlib
import struct
from dataclasses import dataclass

from solders.pubkey import Pubkey

from m0client.errors import DecodeError

FINALIZED = 3
STATUS_NAMES = ("open", "committing", "revealing", "finalized", "expired")
NO_TALLY = 255
RING = 64

_PREFIX = struct.Struct("<8sBB")
_SET = struct.Struct("<IBB?Q32s")
_EPOCH = struct.Struct("<16sQBIBB32sqqqqIIBQ")
_TALLY = struct.Struct("<32s32sII")
_CATALOG = struct.Struct("<16sIQQQQQI")
_RING_ENTRY = struct.Struct("<QqIB32s32s")
_COUNT = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class SignerSet:
    """Who may attest: ascending keys and how many of them are needed."""

    id: int
    threshold: int
    retired: bool
    activation_epoch: int
    digest: bytes
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FinalizedRoot:
    """What the chain finalized for an epoch, and how many signers revealed it."""

    epoch_id: int
    window_end_ms: int
    leaf_count: int
    signers: int
    merkle_root: bytes
    bundle_hash: bytes


@dataclass(frozen=True, slots=True)
class EpochAccount:
    """An epoch's status, and its finalized root once there is one."""

    catalog: bytes
    epoch_id: int
    status: int
    signer_set_id: int
    threshold: int
    finalized_slot: int
    finalized: FinalizedRoot | None


@dataclass(frozen=True, slots=True)
class CatalogAccount:
    """A catalog's ring of the 64 latest finalized roots."""

    catalog: bytes
    last_finalized_epoch: int
    ring: tuple[FinalizedRoot, ...]


def catalog_bytes(name: str) -> bytes:
    """The catalog name zero-padded to 16 bytes."""
    return name.encode("ascii").ljust(16, b"\0")


def signer_set_address(program: Pubkey, set_id: int) -> Pubkey:
    """PDA of `SignerSet`."""
    return Pubkey.find_program_address([b"signer_set", struct.pack("<I", set_id)], program)[0]


def epoch_address(program: Pubkey, catalog: str, epoch_id: int) -> Pubkey:
    """PDA of `Epoch`."""
    return Pubkey.find_program_address([b"epoch", catalog_bytes(catalog), struct.pack("<Q", epoch_id)], program)[0]


def catalog_address(program: Pubkey, catalog: str) -> Pubkey:
    """PDA of `Catalog`."""
    return Pubkey.find_program_address([b"catalog", catalog_bytes(catalog)], program)[0]


def _body(data: bytes, name: str) -> int:
    if len(data) < _PREFIX.size:
        raise DecodeError(f"{name} account of {len(data)} bytes is too short")
    discriminator, version, _ = _PREFIX.unpack_from(data)
    if discriminator != hashlib.sha256(f"account:{name}".encode()).digest()[:8]:
        raise DecodeError(f"account starts with {discriminator.hex()}: it is not a {name}")
    if version != 1:
        raise DecodeError(f"{name} account version {version}: this version reads 1")
    return _PREFIX.size


def _vector(data: bytes, at: int, item: int) -> tuple[int, int]:
    """`(start, end)` of the items of a vec at `at`; DecodeError when the data ends before it does."""
    (count,) = _COUNT.unpack_from(data, at)
    start = at + _COUNT.size
    if start + count * item > len(data):
        raise DecodeError(f"a list of {count} items of {item} bytes does not fit in an account of {len(data)} bytes")
    return start, start + count * item


def decode_signer_set(data: bytes) -> SignerSet:
    """`SignerSet`; DecodeError when the data is something else."""
    try:
        at = _body(data, "SignerSet")
        set_id, threshold, count, retired, activation_epoch, digest = _SET.unpack_from(data, at)
        start, end = _vector(data, at + _SET.size, 32)
    except struct.error as error:
        raise DecodeError(f"SignerSet account of {len(data)} bytes is too short") from error
    keys = tuple(data[i : i + 32] for i in range(start, end, 32))
    if len(keys) != count:
        raise DecodeError(f"signer set {set_id} counts {count} members and lists {len(keys)}")
    return SignerSet(set_id, threshold, retired, activation_epoch, digest, keys)


def decode_epoch(data: bytes) -> EpochAccount:
    """`Epoch`; DecodeError when the data is something else."""
    try:
        at = _body(data, "Epoch")
        fields = _EPOCH.unpack_from(data, at)
        catalog, epoch_id, status, signer_set_id, _, threshold, _, _, window_end_ms, _, _, _, _, index, slot = fields
        _, end = _vector(data, at + _EPOCH.size, 32)
        start, end = _vector(data, end, _TALLY.size)
    except struct.error as error:
        raise DecodeError(f"Epoch account of {len(data)} bytes is too short") from error
    tallies = list(_TALLY.iter_unpack(data[start:end]))
    finalized = None
    if index != NO_TALLY:
        if index >= len(tallies):
            raise DecodeError(f"epoch {epoch_id} finalized tally {index} of {len(tallies)}")
        bundle, root, leaf_count, mask = tallies[index]
        finalized = FinalizedRoot(epoch_id, window_end_ms, leaf_count, int(mask).bit_count(), root, bundle)
    return EpochAccount(catalog, epoch_id, status, signer_set_id, threshold, slot, finalized)


def decode_catalog(data: bytes) -> CatalogAccount:
    """`Catalog`; the ring holds only entries that were written. DecodeError when the data is something else."""
    try:
        at = _body(data, "Catalog")
        catalog, _, _, _, _, last_finalized_epoch, finalized_count, _ = _CATALOG.unpack_from(data, at)
        start = at + _CATALOG.size
        written = min(finalized_count, RING)
        ring = tuple(
            FinalizedRoot(*_RING_ENTRY.unpack_from(data, start + i * _RING_ENTRY.size)) for i in range(written)
        )
    except struct.error as error:
        raise DecodeError(f"Catalog account of {len(data)} bytes is too short") from error
    return CatalogAccount(catalog, last_finalized_epoch, ring)
