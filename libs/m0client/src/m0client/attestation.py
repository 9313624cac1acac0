"""What signers sign: the digest of a signer set and the attestation over a bundle."""

import hashlib
import struct
from collections.abc import Sequence

from solders.pubkey import Pubkey
from solders.signature import Signature


def signer_set_digest(signer_set_id: int, threshold: int, keys: Sequence[bytes]) -> bytes:
    """sha256("M0SIGNERS1" | id u32 | threshold u8 | n u8 | keys ascending)."""
    head = struct.pack("<IBB", signer_set_id, threshold, len(keys))
    return hashlib.sha256(b"M0SIGNERS1" + head + b"".join(sorted(keys))).digest()


def attestation_digest(
    program_id: bytes, catalog: bytes, epoch_id: int, bundle_hash: bytes, set_digest: bytes
) -> bytes:
    """The 32 bytes a signer signs; `catalog` is the zero-padded 16 bytes."""
    body = program_id + catalog + struct.pack("<Q", epoch_id) + bundle_hash + set_digest
    return hashlib.sha256(b"M0ATTEST1" + body).digest()


def is_signed(digest: bytes, signer: Pubkey, signature: Signature) -> bool:
    """Whether `signature` is `signer`'s ed25519 signature of `digest`."""
    return signature.verify(signer, digest)
