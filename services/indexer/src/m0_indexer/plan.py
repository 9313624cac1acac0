"""What to do about a listing of the chain, given what is stored. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from m0chain.rpc import SignatureInfo
from m0index.tables.history import Cursor, Stored

from m0_indexer.chain import Listing

CHUNK = 100
"""Transactions written in one database transaction."""


@dataclass(slots=True)
class Chunk:
    """A stretch of the history, oldest first."""

    fresh: list[tuple[SignatureInfo, str]] = field(default_factory=list)
    """to fetch and store, with the commitment to store them at"""
    promoted: list[str] = field(default_factory=list)
    """stored as confirmed, now final"""
    cursor: Cursor | None = None
    """where the cursor stands once all of this is written"""


@dataclass(frozen=True, slots=True)
class Plan:
    """`moved` were stored under another slot and come again as fresh; `missing` are stored and not listed any more, by
    the slot they were stored under.
    """

    chunks: list[Chunk]
    moved: list[str]
    missing: dict[str, int]


def plan(listing: Listing, stored: Mapping[str, Stored], chunk_size: int = CHUNK) -> Plan:
    """Compare a listing since the cursor with what is stored since the cursor."""
    final = {info.signature for info in listing.finalized}
    listed = {info.signature: info for info in listing.confirmed}
    # what became final between the two questions may be in both answers
    history = [info for info in listing.finalized if info.signature not in listed] + listing.confirmed
    moved = [i.signature for i in history if i.signature in stored and stored[i.signature].slot != i.slot]
    chunks: list[Chunk] = []
    cursor: Cursor | None = None
    settled = True
    for start in range(0, len(history), chunk_size):
        chunk = Chunk()
        for info in history[start : start + chunk_size]:
            known = stored.get(info.signature)
            is_final = info.signature in final
            settled = settled and is_final
            if settled:
                cursor = Cursor(info.signature, info.slot)
            if info.error is not None:
                continue
            if known is None or known.slot != info.slot:
                chunk.fresh.append((info, "finalized" if is_final else "confirmed"))
            elif is_final and known.commitment != "finalized":
                chunk.promoted.append(info.signature)
        chunk.cursor = cursor
        chunks.append(chunk)
    seen = final | listed.keys()
    missing = {
        s: known.slot
        for s, known in stored.items()
        if listing.whole and s not in seen and known.commitment != "finalized"
    }
    return Plan(chunks, moved, missing)
