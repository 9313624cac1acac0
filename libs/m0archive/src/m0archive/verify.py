"""Verifying an archive: every byte of it is read, and what does not hold is named.

Entries must be one chain, each in line with what it adds to the one before; each piece must be there, have its name as
its sha256, and hold the records that its entry says. What no entry names is no fault: a crash leaves it.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from m0common.deployment import Deployment

from m0archive import pieces
from m0archive.chain import Found
from m0archive.entries import UNKNOWN, Entry, Gap, Place, check_identity, log_chain, lost_in, offset_of
from m0archive.errors import Damaged, NoArchive
from m0archive.store import Store

AT_ONCE = 8
"""So many pieces are read side by side."""


class Verified(NamedTuple):
    """What was read: entries, pieces, their bytes, their records; how many offsets are lost in gaps; the pieces that no
    entry names; what does not hold, each naming an object.
    """

    entries: int
    pieces: int
    bytes: int
    records: int
    lacks: int
    unnamed: int
    faults: tuple[str, ...]


async def verify(
    store: Store, deployment: Deployment | None = None, says: Callable[[int, int], None] = lambda *_: None
) -> Verified:
    """Read everything. `says` is told how many entries of how many are read. Raises NoArchive, Unavailable."""
    root = await check_identity(store, deployment)
    chain = log_chain(store)
    count = await chain.count()
    faults = await chain.faults_of_head(count)
    before: Found[Entry] | None = None
    named: set[str] = set()
    size = records = lacks = 0
    for number in range(count):
        says(number, count)
        try:
            found = await chain.expected(number)
        except Damaged as error:
            faults.append(str(error))
            before = None  # what comes behind cannot be told from it
            continue
        entry = found.link
        faults += [f"{chain.object_name(number)}: {fault}" for fault in _faults(entry, before, number)]
        follows = root if number == 0 else None if before is None else before.sha256
        faults += [] if follows is None else chain.faults_between(found, follows)
        before = found
        lacks += lost_in(entry.gaps)
        for start in range(0, len(entry.places), AT_ONCE):
            places = entry.places[start : start + AT_ONCE]
            faults += [fault for fault in await asyncio.gather(*(_piece(store, each) for each in places)) if fault]
            named |= {each.sha256 for each in places}
            size += sum(each.bytes for each in places)
            records += sum(each.records for each in places)
    if not count and not faults:
        raise NoArchive(f"the archive at {store.address} holds nothing yet")
    unnamed = await _unnamed(store, named)
    return Verified(count, len(named), size, records, lacks, unnamed, tuple(faults))


def _faults(entry: Entry, before: Found[Entry] | None, number: int) -> list[str]:
    """What is wrong with an entry beside the one before it, None when that cannot be read."""
    if before is None:
        return [] if number > 0 else _out_of_order(entry, None)
    old, faults = before.link, []
    claims = not entry.places
    if not claims and (entry.writer, entry.fence) != (old.writer, old.fence):
        faults.append(f"{entry.writer} number {entry.fence} wrote it without having become the writer")
    same = entry.since == old.since
    if same != (entry.cluster == old.cluster) or not (same or (claims and entry.since == number)):
        faults.append(f"its incarnation {entry.cluster} since {entry.since} does not follow {old.cluster}")
        return faults
    return faults + _out_of_order(entry, old if same else None)


def _out_of_order(entry: Entry, old: Entry | None) -> list[str]:
    faults = []
    ends = {} if old is None else {topic: list(known) for topic, known in old.ends.items()}
    begins = {} if old is None else {topic: list(known) for topic, known in old.begins.items()}
    for offsets in (begins, ends):
        for topic, known in entry.ends.items():
            had = offsets.setdefault(topic, [])
            had += [UNKNOWN] * (len(known) - len(had))
    gaps: list[Gap] = []
    for place in entry.places:
        end = offset_of(ends, place.where)
        if not 0 <= place.partition < len(ends.get(place.topic, [])) or not max(end, 0) <= place.first < place.end:
            faults.append(f"{place.topic} partition {place.partition}: {place.first} to {place.end} behind {end}")
            continue
        if end == UNKNOWN:
            begins[place.topic][place.partition] = place.first
        elif place.first > end:
            gaps.append(Gap(*place.where, end, place.first))
        ends[place.topic][place.partition] = place.end
    lacks = (0 if old is None else old.lacks) + lost_in(gaps)
    if not faults and (entry.begins, entry.ends, entry.gaps, entry.lacks) != (begins, ends, gaps, lacks):
        faults.append("begins, ends and gaps are not those of its places")
    return faults


async def _piece(store: Store, place: Place) -> str | None:
    try:
        value = await pieces.read(store, place.sha256)
        where, first, end, records = await asyncio.to_thread(pieces.unseal, place.sha256, value)
    except Damaged as error:
        return f"{error} ({place.topic} partition {place.partition}, {place.first} to {place.end})"
    if (where, first, end, len(records), len(value)) != (
        place.where, place.first, place.end, place.records, place.bytes,
    ):  # fmt: skip
        return f"{pieces.name_of(place.sha256)}: it is another stretch than its entry says"
    return None


async def _unnamed(store: Store, named: set[str]) -> int:
    count = 0
    async for batch in store.list(pieces.FOLDER):
        count += sum(each.name.rpartition("/")[2] not in named for each in batch)
    return count
