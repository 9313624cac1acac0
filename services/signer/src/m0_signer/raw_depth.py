"""Depth `raw`: normalize, feature, model and bundle re-run from raw events, the lanes of all catalogs in one chain.

A signed rebase begins new lives from states that others have published. Its catalog is not computed here until a final
header commits to states of these lives, and goes on from those.
"""

import asyncio
from collections.abc import Iterable

from m0common.chain import ChainError
from m0common.errors import Unavailable
from m0common.messages import HeaderMessage
from m0common.stream.core import Cut, LaneReport, Load, Output
from m0common.stream.records import Record
from m0common.stream.states import Restored
from m0common.telemetry.logs import logger
from m0common.topics import RAW
from m0lanes.chain import Chain
from m0lanes.stages import Heart

from m0_signer import metrics
from m0_signer.database import Database
from m0_signer.depth import Depth, Offsets, Published, StartAgain

LOOK_S = 5.0
"""So often new lives are looked for in what is final."""
_log = logger(__name__)


class RawDepth(Depth):
    """See Depth."""

    topic = RAW.name
    input_stage = 1

    def __init__(self, heart: Heart, database: Database, catalogs: Iterable[str], published: Published) -> None:
        super().__init__(database, catalogs, published)
        self._heart = heart
        self._chain = Chain(heart, frozenset(), self._observe)
        self._awaited: dict[str, dict[int, int]] = {}
        """By catalog and partition, the least life of a lane that a rebase was read of."""
        self._next_look_s = 0.0

    def concerns(self, _catalog: str, _partition: int) -> bool:
        """See Depth: any partition may get a lane."""
        return True

    def _begin(self, states: list[Restored], _begins: Offsets, _ends: Offsets) -> None:
        self._awaited.clear()
        self._chain = Chain(self._heart, self.catalogs - self.abstains.keys(), self._observe)
        self._chain.restore(states)

    async def _placed(self, states: list[Restored]) -> list[Restored]:
        return states

    def _observe(self, _stage: str, output: Output) -> None:
        if isinstance(output, Cut):
            self.take_cut(output)
        elif isinstance(output, Load):
            self._await(output)

    def _await(self, load: Load) -> None:
        catalog, partition = load.lane
        if catalog not in self.catalogs:
            return
        lives = {report.lane: report.life for report in self._chain.cores[0].reports()}
        self._awaited.setdefault(catalog, {})[partition] = lives[load.lane] + 1
        self._abstain(
            catalog,
            f"lane {catalog}/{partition} was rebased to epoch {load.epoch_id}: this signer abstains from {catalog} "
            "until others have made an epoch behind it final",
        )

    def feed(self, record: Record) -> list[HeaderMessage]:
        """See Depth."""
        closed = self._chain.feed(record)
        if self._chain.letters:
            metrics.DEAD_LETTERS.labels(self.topic).inc(len(self._chain.letters))
            self._chain.letters.clear()
        return [header for epoch in closed for header in self.take_header(epoch.header)]

    async def catch_up(self, next_offsets: Offsets) -> list[HeaderMessage]:
        """See Depth: in a chain no lane is read apart; a catalog that was rebased begins again."""
        now_s = asyncio.get_running_loop().time()
        if not self._awaited or now_s < self._next_look_s:
            return []
        self._next_look_s = now_s + LOOK_S
        for catalog, lives in sorted(self._awaited.items()):
            try:
                found = (await self._published(catalog)).states
            except (ChainError, Unavailable) as error:
                _log.warning("rebase_waits", catalog=catalog, error=str(error))
                continue
            have = {state.manifest.partition: state.manifest.life for state in found if state.manifest.stage == 1}
            if all(have.get(partition, -1) >= life for partition, life in lives.items()):
                self.save(next_offsets)
                self._kept.replace(catalog, found)
                _log.info("rebase_followed", catalog=catalog)
                raise StartAgain
        return []

    async def stop(self) -> None:
        """See Depth: nothing is open."""

    def _cuts(self) -> list[Cut]:
        partitions = sorted({(core.stage, r.lane.partition) for core in self._chain.cores for r in core.reports()})
        return [cut for stage, partition in partitions for cut in self._chain.cores[stage - 1].cuts(partition, 0)]

    def _reports(self) -> list[LaneReport]:
        return [report for core in self._chain.cores for report in core.reports()]
