"""What the index of the log says: its links, and the archive's own name.

An *incarnation* is the log of one Kafka cluster, told by its id. A cluster that was restored from an archive has the
same records at the same offsets, and others behind them, so it is another incarnation: entries of both lie in one
chain, one incarnation behind the other.
"""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec
from m0common.deployment import Deployment
from m0common.messages.codec import UNDECODABLE
from m0common.stream.broker import TopicPartition

from m0archive.chain import Chain, Link
from m0archive.errors import NEWER, Damaged, NoArchive
from m0archive.store import Store

LOG = "log"
"""The chain that is the index of the log."""
IDENTITY = "archive.json"
LOOKED_AT = 1_000
UNKNOWN = -1
"""The offset of a partition that has none yet."""

Offsets = dict[str, list[int]]
"""By topic the offset of each partition, in order."""


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the stretch from `first` up to but not including `end` of a partition lies: in the piece `sha256`.

    `records` is how many it has, `bytes` the size of the piece, `newest_ms` the newest time of a record in it.
    """

    topic: str
    partition: int
    first: int
    end: int
    records: int
    newest_ms: int
    bytes: int
    sha256: str

    @property
    def where(self) -> TopicPartition:
        """The partition."""
        return TopicPartition(self.topic, self.partition)


class Gap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch that Kafka held no longer when it was to be archived: it is lost."""

    topic: str
    partition: int
    first: int
    end: int


def lost_in(gaps: Iterable[Gap]) -> int:
    """How many offsets are lost in these."""
    return sum(gap.end - gap.first for gap in gaps)


class Entry(Link, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step of the index.

    `fence` is the fencing number of the lease under which it was written and `writer` its holder; a writer's first
    entry has no places. `cluster` is the incarnation and `since` the number of its first entry. `begins` and `ends`
    are, up to and with this entry, where each partition begins and ends in the archive; `lacks` counts the offsets
    between that are lost. `epochs` are first and last epoch of the headers in `places`, by catalog.
    """

    fence: int
    writer: str
    written_ms: int
    cluster: str
    since: int
    begins: Offsets
    ends: Offsets
    lacks: int = 0
    gaps: list[Gap] = msgspec.field(default_factory=list)
    places: list[Place] = msgspec.field(default_factory=list)
    epochs: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose log it is: genesis hash and first control key, in hex."""

    format: int
    genesis_hash: str
    control_key: str


async def newest_ms(store: Store, newest: Entry) -> int | None:
    """When the newest record of the log was written that an archive has, None when it has none; `newest` is the newest
    entry. What says only who the writer is counts for nothing; LOOKED_AT entries are looked at. Raises Damaged,
    Unavailable.
    """
    chain, entry = log_chain(store), newest
    for _ in range(LOOKED_AT):
        if times := [place.newest_ms for place in entry.places if place.records]:
            return max(times)
        if entry.number == 0:
            break
        entry = (await chain.expected(entry.number - 1)).link
    return None


def log_chain(store: Store) -> Chain[Entry]:
    """The index of the log in this storage."""
    return Chain(store, LOG, Entry)


def offset_of(offsets: Mapping[str, list[int]], where: TopicPartition) -> int:
    """An offset of begins or ends, UNKNOWN for a partition that was never archived."""
    known = offsets.get(where.topic, [])
    return known[where.partition] if 0 <= where.partition < len(known) else UNKNOWN


async def claim_identity(store: Store, deployment: Deployment) -> str:
    """Make the archive this deployment's if it is nobody's; the sha256 of what says so. Raises NoArchive when it is
    another's, or other things lie there; Damaged, Unavailable.
    """
    # in this order: whoever else makes it writes its name first
    if not await store.bare() and await store.get(IDENTITY) is None:
        raise NoArchive(
            f"{store.address} holds other things and no {IDENTITY}: name a place that is empty, or, where this was an "
            f"archive, put {IDENTITY} back from a copy"
        )
    mine = Identity(1, deployment.genesis_hash.hex(), deployment.control_key.hex())
    await store.create(IDENTITY, msgspec.json.encode(mine))
    return await check_identity(store, deployment)


async def check_identity(store: Store, deployment: Deployment | None) -> str:
    """The sha256 of what says whose archive it is. Raises NoArchive when there is none, or it is not of `deployment`;
    Damaged, Unavailable.
    """
    found, sha256 = await _identity(store)
    if deployment is None:
        return sha256
    for what, said, own in (
        ("genesis hash", found.genesis_hash, deployment.genesis_hash.hex()),
        ("control key", found.control_key, deployment.control_key.hex()),
    ):
        if said != own:
            raise NoArchive(
                f"archive {store.address} is of a deployment with {what} {said}, not {own}: name another in "
                "M0_ARCHIVE_URL, one for each deployment"
            )
    return sha256


async def _identity(store: Store) -> tuple[Identity, str]:
    value = await store.get(IDENTITY)
    if value is None:
        raise NoArchive(f"there is no archive at {store.address}: jobs makes one there with M0_ARCHIVE_URL set")
    try:
        found = msgspec.json.decode(value, type=Identity)
    except UNDECODABLE as error:
        raise Damaged(IDENTITY, f"it cannot be read: {error}") from error
    if found.format != 1:
        raise Damaged(IDENTITY, f"it has format {found.format}, this version knows 1", NEWER)
    return found, hashlib.sha256(value).hexdigest()
