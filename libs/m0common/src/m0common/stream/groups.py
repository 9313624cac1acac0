"""Names of the consumer groups of lane stages: builds of one stage run side by side, each as a group of its own."""

from typing import NamedTuple

_PREFIX = "m0-"
_BUILD_DIGITS = 10


class StageGroup(NamedTuple):
    """A stage, and the first hex digits of a build of it."""

    stage: str
    build: str

    @classmethod
    def of(cls, stage: str, build: bytes) -> "StageGroup":
        """The group of a build."""
        return cls(stage, build.hex()[:_BUILD_DIGITS])

    @classmethod
    def named(cls, group: str) -> "StageGroup":
        """The one that a group's name says; of other groups it names a stage that there is not."""
        head, _, build = group.rpartition("-")
        return cls(head.removeprefix(_PREFIX), build)

    def __str__(self) -> str:
        return f"{_PREFIX}{self.stage}-{self.build}"
