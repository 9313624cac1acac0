"""What a worker does: the first three stages of its partitions' lanes, chained. No process, no pipe."""

from collections.abc import Callable, Iterable, Iterator

from m0common.deployment import Deployment
from m0common.messages import Manifest
from m0common.stream.core import Cut, LaneReport, Load, Output
from m0common.stream.records import Produce, Record
from m0common.stream.restored import Restored
from m0common.topics import PREDICTIONS
from m0lanes.pipeline import Pipeline
from m0lanes.stages import Heart

from m0_signer.unsaved import Unsaved
from m0_signer.workers.wire import (
    Begin,
    Done,
    Feed,
    FromWorker,
    Parked,
    Ready,
    Said,
    Save,
    Saved,
    StatePart,
    ToWorker,
    Wanted,
    state_parts,
)

SAID_MAX = 256
"""So many messages are said at once."""
HeartOf = Callable[[Deployment], Heart]


class Work:
    """Answers what the desk says; see m0_signer.workers.wire. `heart_of` finds the domains that are here."""

    def __init__(self, heart_of: HeartOf) -> None:
        self._heart_of = heart_of
        self._states: dict[tuple[str, int, int], tuple[Manifest, dict[bytes, bytes]]] = {}
        self._pipeline: Pipeline | None = None
        self._unsaved = Unsaved()
        self._heard: list[Said | Wanted] = []
        self._parked: list[LaneReport] = []
        self._has_cut = False
        """Whether other lanes may stand still than before: a checkpoint says so of every one."""

    def answer(self, message: ToWorker) -> Iterator[FromWorker]:
        """What one message brings, as it comes."""
        if isinstance(message, StatePart):
            self._keep(message)
        elif isinstance(message, Begin):
            yield from self._begin(message)
        elif isinstance(message, Feed):
            yield from self._feed(message.records)
        else:
            yield from self._save(message)

    def _keep(self, state: StatePart) -> None:
        manifest = state.manifest
        place = (manifest.catalog, manifest.stage, manifest.partition)
        _, entities = self._states.setdefault(place, (manifest, {}))
        entities.update({key: value for key, value in state.entries if value is not None})

    def _begin(self, begin: Begin) -> Iterator[FromWorker]:
        heart = self._heart_of(Deployment(begin.genesis_hash, begin.control_key, begin.partitions))
        # epochs are closed beside the desk, where the lanes of all workers meet
        self._pipeline = pipeline = Pipeline(heart, frozenset(begin.only), self._hear, hears=lambda _: False)
        pipeline.restore([Restored(manifest, entities) for manifest, entities in self._states.values()])
        self._states.clear()
        yield Ready(heart.build)
        yield from self._told(pipeline)

    def _hear(self, _stage: str, output: Output) -> None:
        if isinstance(output, Cut):
            self._has_cut = True
            self._unsaved.take(output)
        elif isinstance(output, Produce) and output.topic == PREDICTIONS.name:
            self._say(output)
        elif isinstance(output, Load):
            lives = {report.lane: report.life for report in self._begun().cores[0].reports()}
            self._heard.append(Wanted(output, lives[output.lane]))

    def _say(self, message: Produce) -> None:
        last = self._heard[-1] if self._heard else None
        if not isinstance(last, Said) or len(last.messages) >= SAID_MAX:
            last = Said([])
            self._heard.append(last)
        last.messages.append(message)

    def _feed(self, records: Iterable[Record]) -> Iterator[FromWorker]:
        pipeline = self._begun()
        for record in records:
            pipeline.feed(record)
            if len(self._heard) > 1:
                yield from self._heard[:-1]
                del self._heard[:-1]
        yield from self._heard
        self._heard.clear()
        if self._has_cut:
            yield from self._told(pipeline)
        yield Done(len(pipeline.letters))
        pipeline.letters.clear()

    def _told(self, pipeline: Pipeline) -> Iterator[Parked]:
        self._has_cut = False
        reports = [report for core in pipeline.cores for report in core.reports()]
        parked = [report for report in reports if report.parked is not None or report.lacks is not None]
        if parked != self._parked:
            self._parked = parked
            yield Parked(parked)

    def _save(self, save: Save) -> Iterator[FromWorker]:
        pipeline = self._begun()
        for core in pipeline.cores:
            for partition in sorted({report.lane.partition for report in core.reports()}):
                for cut in core.cuts(partition, 0):
                    self._unsaved.take(cut)
        for _, manifest, entities in self._unsaved.lanes():
            yield from state_parts(manifest, entities)
        self._unsaved = Unsaved()
        yield Saved(save.number)

    def _begun(self) -> Pipeline:
        if self._pipeline is None:
            raise RuntimeError("the desk must say Begin first")
        return self._pipeline
