"""Lanes that begin new lives on the way: what a pipeline asks for then, answered out of the log."""

from typing import NamedTuple, Protocol

from m0common.ids import Lane
from m0common.stream.broker import Broker
from m0common.stream.core import Load
from m0common.stream.restored import Restored
from m0common.stream.restoring import load_state
from m0lanes.checkpoints import gathered
from m0lanes.keeper import Keeper
from m0lanes.pipeline import ClosedEpoch, Pipeline

from m0replay.course import Course
from m0replay.irreplayable import Irreplayable
from m0replay.releases import ReleaseWatch
from m0replay.states import STAGES


class StateGone(Irreplayable):
    """The state that a life begins with is not to be had; names lane, life, epoch, stage and root."""


class States(Protocol):
    """Where the states are that lives begin with."""

    async def load(self, load: Load) -> Restored | None:
        """The state that was asked for, None when it is not to be had. Raises Unavailable."""
        ...


class KeptOrLogged:
    """See States: what a pipeline has said itself, else what the stages have left in the log."""

    def __init__(self, keeper: Keeper, broker: Broker) -> None:
        self._keeper = keeper
        self._broker = broker

    async def load(self, load: Load) -> Restored | None:
        """See States."""
        return self._keeper.load(load) or await load_state(self._broker, load, gathered)


class NewLife(NamedTuple):
    """A life that a lane has begun, from the states of stages 1 to 3 at an epoch's marker, by their digests; or anew:
    then the roots are zero bytes. `input_offset` is the raw offset of that marker, -1 without one.
    """

    lane: Lane
    life: int
    epoch_id: int
    roots: tuple[bytes, ...]
    input_offset: int


class Following:
    """A pipeline whose lanes begin their new lives where the log says so."""

    def __init__(self, pipeline: Pipeline, states: States, course: Course, watch: ReleaseWatch) -> None:
        self._pipeline = pipeline
        self._states = states
        self._course = course
        self._watch = watch
        self.begun: dict[Lane, NewLife] = {}
        """The newest life that each lane has begun."""

    async def answer(self) -> list[ClosedEpoch]:
        """Give the pipeline the states it asks for; returns the epochs that closed. Raises StateGone, NotInstalled,
        Unavailable.
        """
        closed: list[ClosedEpoch] = []
        while self._pipeline.loads:
            load = self._pipeline.loads[0]
            found = await self._states.load(load)
            partition = load.lane.partition
            if found is None and self._course.needs(partition, load.life, self._course.at(partition)):
                raise StateGone(
                    f"life {load.life} of lane {load.lane.catalog}/{partition} begins from its epoch {load.epoch_id}, "
                    f"whose state of stage {STAGES[load.stage]}, {load.root.hex()}, is neither computed on the way nor "
                    "in the log any more"
                )
            # a life that could not begin is the past of the one that repaired it
            closed += self._pipeline.answer(load, found)
            if found is not None:
                self._note(load, found)
        return closed

    def _note(self, load: Load, found: Restored) -> None:
        if load.stage == 1:
            now = next(report for report in self._pipeline.cores[0].reports() if report.lane == load.lane)
            self._watch.begun(load.lane, load.life, now.epoch_id, now.release)
            at = found.manifest.input_offset
            self.begun[load.lane] = NewLife(load.lane, load.life, load.epoch_id, (load.root,), at)
        else:
            known = self.begun[load.lane]
            self.begun[load.lane] = known._replace(roots=(*known.roots, load.root))
