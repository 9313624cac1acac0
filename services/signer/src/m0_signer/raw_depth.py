"""Depth `raw`: normalize, feature, model and bundle re-run from raw events, the lanes of all catalogs.

The first three stages run in worker processes, which divide the partitions of `m0.raw`; what their lanes say meets in
the bundle stage, beside the desk. So the desk has a turn however much the lanes compute.

A signed rebase begins new lives from states that others have published. Its catalog is not computed here until a final
header commits to states of these lives, and goes on from those.
"""

import asyncio
from collections.abc import Iterable, Mapping

import msgspec
from m0chain import ChainError
from m0common.errors import Unavailable
from m0common.messages import HeaderMessage
from m0common.stream.core import Cut, LaneReport, Letter
from m0common.stream.records import Produce, Record
from m0common.stream.restored import Restored
from m0common.telemetry.logs import logger
from m0common.topics import HEADERS, RAW
from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.slots import runs
from m0lanes.stages import Heart

from m0_signer import metrics
from m0_signer.closing import Closing
from m0_signer.database import Database
from m0_signer.depth import Depth, Offsets, Published, StartAgain
from m0_signer.workers.crew import Crew
from m0_signer.workers.link import Launch
from m0_signer.workers.wire import Begin, Done, FromWorker, Parked, Said, Saved, StatePart, Wanted

LOOK_S = 5.0
"""So often new lives are looked for in what is final."""
STUCK_S = 30.0
"""A worker that is silent for so long is stuck."""
_log = logger(__name__)
_decode_header = msgspec.msgpack.Decoder(HeaderMessage).decode


class RawDepth(Depth):
    """See Depth. At most `workers` processes are started with `launch`; no more than there are partitions."""

    topic = RAW.name
    input_stage = 1
    keeps_states = False

    def __init__(
        self,
        heart: Heart,
        launch: Launch,
        workers: int,
        database: Database,
        catalogs: Iterable[str],
        published: Published,
    ) -> None:
        super().__init__(database, catalogs, published)
        self._heart, self._launch = heart, launch
        self._count = min(workers, heart.deployment.partitions)
        self._crew: Crew | None = None
        self._closing = Closing(heart)
        self._closed: list[HeaderMessage] = []
        """Not yet given to who feeds."""
        self._parked: dict[int, list[LaneReport]] = {}
        """By worker."""
        self._awaited: dict[str, dict[int, int]] = {}
        """By catalog and partition, the least life of a lane that a rebase was read of."""
        self._next_look_s = 0.0

    def concerns(self, _catalog: str, _partition: int) -> bool:
        """See Depth: any partition may get a lane."""
        return True

    async def _begin(self, states: list[Restored], _begins: Offsets, _ends: Offsets) -> None:
        await self.stop()
        self._awaited.clear()
        self._parked.clear()
        self._closed.clear()  # those that are not decided are known as such
        self._closing = Closing(self._heart, states)
        deployment = self._heart.deployment
        only = tuple(sorted(self.catalogs - self.abstains.keys()))
        begin = Begin(deployment.genesis_hash, deployment.control_key, deployment.partitions, only)
        lanes = [found for found in states if found.manifest.stage < BUNDLE_STAGE]
        self._crew = await Crew.start(self._launch, self._count, begin, self._heart.build, lanes)

    async def _placed(self, states: list[Restored]) -> list[Restored]:
        return states

    async def feed(self, record: Record) -> list[HeaderMessage]:
        """See Depth."""
        crew = self._begun()
        crew.feed(record)
        while crew.is_full:
            await self._receive(crew)
        return self._gone()

    async def catch_up(self, next_offsets: Offsets) -> list[HeaderMessage]:
        """See Depth: takes in what the workers have said, and waits for nothing."""
        crew = self._begun()
        crew.flush()
        while crew.has_said:
            await self._receive(crew)
        await self._follow(next_offsets)
        return self._gone()

    @property
    def works(self) -> bool:
        """See Depth."""
        return bool(self._closed) or (self._crew is not None and self._crew.works)

    def problem(self) -> str | None:
        """See Depth."""
        return None if self._crew is None else self._crew.stuck(STUCK_S)

    async def stop(self) -> None:
        """See Depth: the workers end."""
        crew, self._crew = self._crew, None
        if crew is not None:
            await crew.stop()

    def _begun(self) -> Crew:
        if self._crew is None:
            raise RuntimeError("the lanes have not begun: call start first")
        return self._crew

    def _gone(self) -> list[HeaderMessage]:
        closed, self._closed = self._closed, []
        return closed

    # --- what the workers say ----------------------------------------------------------------------------------------

    async def _receive(self, crew: Crew) -> FromWorker:
        """Take in the next thing that is said; the event loop gets a turn."""
        worker, message = await crew.receive()
        if isinstance(message, Said):
            for said in message.messages:
                self._close(said)
        elif isinstance(message, Wanted):
            await self._await(message)
        elif isinstance(message, StatePart):
            self.take_state(message.manifest, message.entries)
        elif isinstance(message, Parked):
            self._parked[worker] = message.lanes
        elif isinstance(message, Done) and message.letters:
            metrics.DEAD_LETTERS.labels(self.topic).inc(message.letters)
        await asyncio.sleep(0)
        return message

    def _close(self, said: Produce) -> None:
        for output in self._closing.feed(said):
            if isinstance(output, Produce) and output.topic == HEADERS.name:
                self._closed += self.take_header(_decode_header(output.value))
            elif isinstance(output, Cut):
                self.take_cut(output)
            elif isinstance(output, Letter):
                metrics.DEAD_LETTERS.labels(self.topic).inc()

    async def _await(self, wanted: Wanted) -> None:
        catalog, partition = wanted.load.lane
        if catalog not in self.catalogs:
            return
        self._awaited.setdefault(catalog, {})[partition] = wanted.life + 1
        await self._abstain(
            catalog,
            f"lane {catalog}/{partition} was rebased to epoch {wanted.load.epoch_id}: this signer abstains from "
            f"{catalog} until others have made an epoch behind it final",
        )

    async def _follow(self, next_offsets: Offsets) -> None:
        """A catalog that was rebased, or that another release had until now, begins again where something final is."""
        now_s = asyncio.get_running_loop().time()
        left = self._left()
        waiting = sorted(self._awaited.keys() | left.keys())
        if not waiting or now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_S
        for catalog in waiting:
            try:
                found = (await self._published(catalog)).states
            except (ChainError, Unavailable) as error:
                _log.warning("catalog_waits", catalog=catalog, error=str(error))
                continue
            if self._serves(found, self._awaited.get(catalog, {}), left.get(catalog)):
                await self.save(next_offsets)
                await self._kept.replace(catalog, found)
                _log.info("catalog_followed", catalog=catalog)
                raise StartAgain

    def _left(self) -> dict[str, int]:
        """By catalog that is left to a release which is not here, the newest epoch that was reached."""
        left: dict[str, int] = {}
        for report in (report for lanes in self._parked.values() for report in lanes if report.lacks is not None):
            left[report.lane.catalog] = max(report.epoch_id, left.get(report.lane.catalog, -1))
        return left

    def _serves(self, found: list[Restored], lives: Mapping[int, int], left_at: int | None) -> bool:
        """Whether states are of these lives at least, or behind the epoch that lanes were left at and ours to go on."""
        lanes = [state.manifest for state in found if state.manifest.stage < BUNDLE_STAGE]
        have = {manifest.partition: manifest.life for manifest in lanes if manifest.stage == 1}
        if not have or any(have.get(partition, -1) < life for partition, life in lives.items()):
            return False
        newest = max(-1 if manifest.epoch_id is None else manifest.epoch_id for manifest in lanes)
        ours = all(runs(manifest, self._heart.domains) for manifest in lanes)
        return left_at is None or (newest > left_at and ours)

    # --- saving ------------------------------------------------------------------------------------------------------

    async def _cuts(self) -> list[Cut]:
        """The bundle stage's, once every worker has handed over its lanes, which are never ahead of it then."""
        crew = self._begun()
        number, missing = crew.save()
        while missing:
            message = await self._receive(crew)
            missing -= isinstance(message, Saved) and message.number == number
        return self._closing.cuts()

    def _lacks(self) -> set[tuple[str, bytes]]:
        return {(report.lane.catalog, report.lacks) for report in self._reports() if report.lacks is not None}

    def _reports(self) -> list[LaneReport]:
        parked = [report for _, lanes in sorted(self._parked.items()) for report in lanes]
        return [*parked, *self._closing.reports()]
