"""A state of a lane as it was found in the log."""

from typing import NamedTuple

from m0common.canonical import Trie
from m0common.messages import Manifest

LANE_STAGES = (1, 2, 3)
"""The stages whose lanes are one catalog's in one partition of the log."""


class Restored(NamedTuple):
    """A state that has the digest its manifest claims. `trie` is the entities' own, where that was made on the way."""

    manifest: Manifest
    entities: dict[bytes, bytes]
    trie: Trie | None = None
