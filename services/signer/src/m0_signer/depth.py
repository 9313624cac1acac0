"""What a way to compute epochs has in common with the other: what it has kept, what it adopts, what is undecided."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping

from m0common.messages import HeaderMessage, Manifest
from m0common.stream.broker import TopicPartition
from m0common.stream.core import Cut, LaneReport
from m0common.stream.records import Record
from m0common.stream.restored import Restored
from m0common.telemetry.logs import logger
from m0replay.states import reads_from

from m0_signer import kept
from m0_signer.database import Database, Statement
from m0_signer.kept import KeptStates
from m0_signer.published import PublishedStates
from m0_signer.unsaved import Unsaved

KEPT_PER_CATALOG = 64
"""Epochs computed here that wait for their claim; older ones are dropped, unsigned."""

Published = Callable[[str], Awaitable[PublishedStates]]
"""Finds states that a final header commits to, by catalog. Raises Unavailable or ChainError."""
Offsets = Mapping[TopicPartition, int]
_log = logger(__name__)


class StartAgain(Exception):
    """Read everything from what is kept, which is complete: a catalog goes on from another state, say."""


class Depth(ABC):
    """Computes the epochs of some catalogs from a topic, on cores of its own."""

    topic: str
    input_stage: int
    """The stage whose lanes read the topic."""
    keeps_states: bool
    """Whether states go on in the topic of another cluster. Those that were computed from raw do not: it may lack of
    what they were made, and is read anew.
    """

    def __init__(self, database: Database, catalogs: Iterable[str], published: Published) -> None:
        self.catalogs = frozenset(catalogs)
        self.abstains: dict[str, str] = {}
        """Catalogs that cannot be computed here, and why."""
        self._published = published
        self._kept = KeptStates(database, self.topic)
        self._unsaved = Unsaved()
        self._undecided: dict[str, dict[int, HeaderMessage]] = {}

    # --- what the topics' reader calls -------------------------------------------------------------------------------

    async def read_from(self, cluster: str) -> bool:
        """Note which cluster's topic this is; True for another than before: what names its offsets is forgotten."""
        await self._kept.prepare()
        return await self._kept.read_from(cluster, keeps_states=self.keeps_states)

    async def start(self, begins: Offsets, ends: Offsets) -> dict[TopicPartition, int]:
        """Go on from what is kept, else from a published state where the log no longer reaches back to it.

        The topic holds `begins` to `ends`; returns where to read each partition from. Raises Unavailable, ChainError,
        WorkerLost.
        """
        self.abstains.clear()
        self._unsaved = Unsaved()
        await self._kept.prepare()
        before, reached = await self._kept.states(), await self._kept.next_offsets()
        states: list[Restored] = []
        starts: dict[TopicPartition, list[int]] = {where: [] for where in begins}
        for catalog in sorted(self.catalogs):
            mine = before.get(catalog, [])
            own = {where: begin for where, begin in begins.items() if self.concerns(catalog, where.partition)}
            needs = {where: self._needs(mine, reached, where, begin) for where, begin in own.items()}
            if not mine or any(needs[where] < begin for where, begin in own.items()):
                mine = await self._adopted(catalog, own, anew=not mine)
                needs = {where: self._needs(mine, {}, where, begin) for where, begin in own.items()}
            if catalog not in self.abstains:
                states += mine
                for where, at in needs.items():
                    starts[where].append(at)
        await self._begin(states, begins, ends)
        for header in await self._kept.computed():
            if header.catalog in self.catalogs:
                self._undecided.setdefault(header.catalog, {})[header.epoch_id] = header
        return {where: min(at, default=ends[where]) for where, at in starts.items()}

    def _needs(self, states: list[Restored], reached: Mapping[int, int], where: TopicPartition, begin: int) -> int:
        """The offset that a catalog must be read from in one partition, which the topic holds from `begin` on."""
        lanes = [
            reads_from(state.manifest)
            for state in states
            if (state.manifest.stage, state.manifest.partition) == (self.input_stage, where.partition)
        ]
        read = reached.get(where.partition)
        if not lanes:
            # should a lane have begun in what is lost, then the markers of the others name it, and no epoch is closed
            return begin if read is None else max(begin, read)
        return min(lanes if read is None else [*lanes, read])

    async def _adopted(self, catalog: str, begins: Offsets, *, anew: bool) -> list[Restored]:
        """States to start a catalog from; none for the beginning of the log, or where it abstains."""
        if anew and not any(begins.values()):
            await self._kept.replace(catalog, [])
            return []
        standing = await self._published(catalog)
        states = await self._placed(standing.states)
        if states and all(self._needs(states, {}, where, begin) >= begin for where, begin in begins.items()):
            await self._kept.replace(catalog, states)
            return states
        await self._kept.replace(catalog, [])
        if standing.has_finals or not anew:
            await self._abstain(
                catalog,
                f"{self.topic} no longer reaches back to where this signer was with {catalog}, and no published state "
                "of a final epoch restores: it abstains until it is started again and one does",
            )
        return []

    def take_header(self, header: HeaderMessage) -> list[HeaderMessage]:
        """Remember an epoch that was computed until it is decided."""
        if not self._computes(header.catalog):
            return []
        waiting = self._undecided.setdefault(header.catalog, {})
        waiting[header.epoch_id] = header
        while len(waiting) > KEPT_PER_CATALOG:
            del waiting[min(waiting)]
        return [header]

    def take_cut(self, cut: Cut) -> None:
        """Remember a checkpoint until the next saving."""
        if self._computes(cut.lane.catalog):
            self._unsaved.take(cut)

    def take_state(self, manifest: Manifest, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Remember a part of a checkpoint until the next saving."""
        if self._computes(manifest.catalog):
            self._unsaved.put(manifest, entries)

    def _computes(self, catalog: str) -> bool:
        return catalog in self.catalogs and catalog not in self.abstains

    async def _abstain(self, catalog: str, reason: str) -> None:
        """Nothing of a catalog is computed from here on, and nothing of it is kept."""
        self.abstains[catalog] = reason
        self._unsaved.drop(catalog)
        await self._kept.replace(catalog, [])
        _log.error("abstains", catalog=catalog, reason=reason)

    def undecided(self) -> list[HeaderMessage]:
        """Epochs computed and not decided, ascending."""
        found = [header for waiting in self._undecided.values() for header in waiting.values()]
        return sorted(found, key=lambda header: (header.epoch_id, header.catalog))

    def decided(self, catalog: str, epoch_id: int) -> Statement:
        """Forget an epoch that is decided; what is to be written with the decision, before the next saving."""
        self._undecided.get(catalog, {}).pop(epoch_id, None)
        return kept.decided(catalog, epoch_id)

    async def save(self, next_offsets: Offsets) -> None:
        """Keep every lane as it stands; `next_offsets` say up to where the topic was read. Raises WorkerLost."""
        for cut in await self._cuts():
            self.take_cut(cut)
        offsets = {where.partition: at for where, at in next_offsets.items()}
        # until it is done everything stays unsaved: stopped here, it is all written again
        await self._kept.save(self._unsaved.lanes(), offsets, self.undecided())
        self._unsaved = Unsaved()

    @property
    def works(self) -> bool:
        """Whether epochs may be closed by what was fed already."""
        return False

    def problem(self) -> str | None:
        """What stands still that should not."""
        return None

    def notes(self) -> str | None:
        """What is not well although the work goes on."""
        reports = self._reports()
        parked = [f"{r.lane.catalog}/{r.lane.partition}: {r.parked}" for r in reports if r.parked is not None]
        # a signer votes for what it computed itself: a lane that it leaves to others is an epoch it cannot sign
        install = [
            f"install release {release.hex()} (catalog {catalog}): it is not signed here"
            for catalog, release in sorted(self._lacks())
        ]
        return "; ".join([*self.abstains.values(), *install, *parked]) or None

    # --- what a depth does in its own way ----------------------------------------------------------------------------

    @abstractmethod
    def _lacks(self) -> set[tuple[str, bytes]]:
        """Catalogs, and the releases of theirs that are not installed here."""

    @abstractmethod
    def concerns(self, catalog: str, partition: int) -> bool:
        """Whether messages of a catalog may lie in a partition of the topic."""

    @abstractmethod
    async def _begin(self, states: list[Restored], begins: Offsets, ends: Offsets) -> None:
        """Make the cores, going on from these states."""

    @abstractmethod
    async def _placed(self, states: list[Restored]) -> list[Restored]:
        """Published states of all stages as this depth goes on from them; none when it cannot."""

    @abstractmethod
    async def feed(self, record: Record) -> list[HeaderMessage]:
        """Take a record, when there is room for it; the epochs that were closed meanwhile. Raises WorkerLost."""

    @abstractmethod
    async def catch_up(self, next_offsets: Offsets) -> list[HeaderMessage]:
        """The epochs that were closed beside the reading, by lanes that are read apart or computed elsewhere.

        Raises StartAgain, WorkerLost.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Release what is open."""

    @abstractmethod
    async def _cuts(self) -> list[Cut]: ...

    @abstractmethod
    def _reports(self) -> list[LaneReport]: ...
