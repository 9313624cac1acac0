"""Names of the consumer groups of lane stages: builds of one stage run side by side, each as a group of its own."""

from typing import NamedTuple

_PREFIX = "m0-"
_BUILD_DIGITS = 10


def build_id(build: bytes) -> str:
    """What a build is called in names of groups and of installed objects: the first hex digits of its hash."""
    return build.hex()[:_BUILD_DIGITS]


class StageGroup(NamedTuple):
    """A stage, and the id of a build of it."""

    stage: str
    build: str

    @classmethod
    def of(cls, stage: str, build: bytes) -> "StageGroup":
        """The group of a build."""
        return cls(stage, build_id(build))

    @classmethod
    def named(cls, group: str) -> "StageGroup":
        """The one that a group's name says; of other groups it names a stage that there is not."""
        head, _, build = group.rpartition("-")
        return cls(head.removeprefix(_PREFIX), build)

    def __str__(self) -> str:
        return f"{_PREFIX}{self.stage}-{self.build}"
