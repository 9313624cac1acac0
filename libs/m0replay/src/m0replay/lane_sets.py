"""The sets that one lane has, as far as its records were read: its own judgement (`m0lanes.set_rules`), repeated."""

from dataclasses import replace

from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import RawEvent
from m0lanes.generations import Generation
from m0lanes.set_rules import LaneStanding, check_said_set, check_set, dropped_by

SetKey = tuple[int, bytes]
"""The number and the hash of a set."""


class LaneSets:
    """Fed with the sets and markers of a lane in the order of its partition."""

    def __init__(self, lane: Lane, deployment: Deployment) -> None:
        self._lane, self._deployment = lane, deployment
        self._standing = LaneStanding(deployment.control_key)
        self._waiting: dict[SetKey, Generation] = {}
        self._in_force: SetKey | None = None
        self._missing: SetKey | None = None

    def has(self, key: SetKey) -> bool:
        """Whether the lane has a set: it is in force, or waits to be."""
        return key in self._waiting or key == self._in_force

    @property
    def works(self) -> bool:
        """Whether the set in force has the lane."""
        return self._standing.works

    def define(self, event: RawEvent, made: Generation, keys: tuple[bytes, ...]) -> bool:
        """Take in a set that has been said; False when the lane refuses it. `keys` are the control keys that its
        certificates vouch for.
        """
        key = (made.number, made.hash)
        if self.has(key):
            return True
        try:
            check_said_set(event, made, self._lane, self._now(), self._deployment)
        except DeadLetterError:
            return False
        self._waiting[key] = made
        if key == self._missing:
            self.activate(made, keys)
        return True

    def check(self, made: Generation, size: int) -> None:
        """Raises DeadLetterError when the lane would refuse a set, whose payload has `size` bytes, whoever signs it."""
        if not self.has((made.number, made.hash)):
            check_set(made, size, self._lane, self._now(), self._deployment)

    def miss(self, key: SetKey) -> None:
        """A marker has named a set that the lane does not have: it waits for that one."""
        self._missing = key

    def recall(self, made: Generation, keys: tuple[bytes, ...]) -> None:
        """A set is known to be in force in the catalog: what the lane has of earlier ones is over."""
        if made.number > self._standing.generation:
            self.activate(made, keys)

    def activate(self, made: Generation, keys: tuple[bytes, ...]) -> None:
        """A marker has put a set in force."""
        key = (made.number, made.hash)
        if key == self._in_force:
            return
        for other in dropped_by(made, self._standing.generation, list(self._waiting.values())):
            del self._waiting[other.number, other.hash]
        self._waiting.pop(key, None)
        self._in_force, self._missing = key, None
        works = self._lane.partition in made.lanes
        self._standing = LaneStanding(keys[-1], made.number, made.payload.epoch_ms, works=works)

    def _now(self) -> LaneStanding:
        return replace(self._standing, waiting=len(self._waiting), missing=self._missing)
