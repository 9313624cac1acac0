"""What signers sign and hide: signer set digest, attestation digest, commitment hash."""

import hashlib
import struct
from collections.abc import Sequence

from m0common.errors import InvalidValue
from m0common.ids import catalog_bytes

_SIGNERS_TAG = b"M0SIGNERS1"
_ATTEST_TAG = b"M0ATTEST1"
_COMMIT_TAG = b"M0COMMIT1"


def _hash32(**values: bytes) -> None:
    for name, value in sorted(values.items()):
        if len(value) != 32:
            raise InvalidValue(f"{name} of {len(value)} bytes: it has 32")


def signer_set_digest(signer_set_id: int, threshold: int, keys: Sequence[bytes]) -> bytes:
    """sha256("M0SIGNERS1" | id u32 | threshold u8 | n u8 | keys ascending)."""
    head = struct.pack("<IBB", signer_set_id, threshold, len(keys))
    return hashlib.sha256(_SIGNERS_TAG + head + b"".join(sorted(keys))).digest()


def attestation_digest(program_id: bytes, catalog: str, epoch_id: int, bundle_hash: bytes, set_digest: bytes) -> bytes:
    """The 32 bytes a signer signs with ed25519 to attest a bundle."""
    _hash32(program_id=program_id, bundle_hash=bundle_hash, set_digest=set_digest)
    body = program_id + catalog_bytes(catalog) + struct.pack("<Q", epoch_id) + bundle_hash + set_digest
    return hashlib.sha256(_ATTEST_TAG + body).digest()


def commitment_hash(program_id: bytes, epoch_pda: bytes, signer: bytes, bundle_hash: bytes, salt: bytes) -> bytes:
    """The hiding commitment to a bundle that a signer puts on chain before revealing."""
    _hash32(program_id=program_id, epoch_pda=epoch_pda, signer=signer, bundle_hash=bundle_hash, salt=salt)
    return hashlib.sha256(_COMMIT_TAG + program_id + epoch_pda + signer + bundle_hash + salt).digest()
