"""The Merkle mountain range over all finalized bundle hashes, as the oracle's Catalog account keeps it."""

from collections.abc import Iterable

from m0common.canonical.merkle import leaf_hash, node_hash

MAX_PEAKS = 32


class MountainRange:
    """Peaks by height: `peaks[i]` is set when bit i of `count` is."""

    def __init__(self) -> None:
        self.count = 0
        self.peaks: list[bytes] = [bytes(32)] * MAX_PEAKS

    def append(self, bundle_hash: bytes) -> None:
        """Add one finalized bundle hash."""
        carry, height = leaf_hash(bundle_hash), 0
        while self.count >> height & 1:
            carry = node_hash(self.peaks[height], carry)
            self.peaks[height] = bytes(32)
            height += 1
        self.peaks[height] = carry
        self.count += 1

    def extend(self, bundle_hashes: Iterable[bytes]) -> "MountainRange":
        """Add several in order; returns itself."""
        for bundle_hash in bundle_hashes:
            self.append(bundle_hash)
        return self
