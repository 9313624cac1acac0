"""BundleHeader v1: what signers commit to and the chain finalizes."""

import hashlib
import struct
from dataclasses import dataclass

from m0common.errors import InvalidValue
from m0common.ids import catalog_bytes, catalog_name

MAGIC = b"M0BUNDLE"
SCHEMA = 1
_LAYOUT = struct.Struct("<8sH16sQqqII32s32s32s32s32s32s")
HEADER_BYTES = _LAYOUT.size


@dataclass(frozen=True, slots=True)
class BundleHeader:
    """One epoch of one catalog: `(state before, inputs, config, models) -> (leaves, state after)`."""

    catalog: str
    epoch_id: int
    window_start_ms: int
    window_end_ms: int
    signer_set_id: int
    leaf_count: int
    merkle_root: bytes
    prev_bundle_hash: bytes
    model_manifest_hash: bytes
    config_hash: bytes
    input_root: bytes
    state_root: bytes

    def encode(self) -> bytes:
        """The 250 canonical bytes. Raises InvalidValue when a hash or an integer does not fit its field."""
        hashes = (
            self.merkle_root,
            self.prev_bundle_hash,
            self.model_manifest_hash,
            self.config_hash,
            self.input_root,
            self.state_root,
        )
        if any(len(h) != 32 for h in hashes):
            raise InvalidValue(f"header of {self.catalog} {self.epoch_id}: every hash has 32 bytes")
        try:
            return _LAYOUT.pack(
                MAGIC,
                SCHEMA,
                catalog_bytes(self.catalog),
                self.epoch_id,
                self.window_start_ms,
                self.window_end_ms,
                self.signer_set_id,
                self.leaf_count,
                *hashes,
            )
        except struct.error as error:
            raise InvalidValue(
                f"header of {self.catalog} {self.epoch_id}: an integer does not fit ({error})"
            ) from error

    @property
    def bundle_hash(self) -> bytes:
        """sha256 of the header: the content address of the bundle."""
        return hashlib.sha256(self.encode()).digest()

    @classmethod
    def decode(cls, data: bytes) -> "BundleHeader":
        """The header in `data`; raises InvalidValue unless it is a v1 header."""
        if len(data) != HEADER_BYTES:
            raise InvalidValue(f"header of {len(data)} bytes: a v1 header has {HEADER_BYTES}")
        magic, schema, catalog, *rest = _LAYOUT.unpack(data)
        if magic != MAGIC or schema != SCHEMA:
            raise InvalidValue(f"header starts with {magic!r} schema {schema}: not a v1 header")
        return cls(catalog_name(catalog), *rest)
