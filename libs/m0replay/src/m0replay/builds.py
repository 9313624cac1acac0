"""Which builds of the lane stages run, and which releases each of them is known to have."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from m0common.messages import Manifest
from m0common.stream.groups import StageGroup, build_id
from m0lanes.domains import load_domains
from m0lanes.release import build_of, releases

from m0replay.lanes import STAGES

Known = Mapping[str, Collection[str]]
"""Releases, in hex, by the id of a build that has them."""


class Builds:
    """Builds by their ids. What one has is known when it is installed here, and else from the checkpoints that it
    wrote: of one that waits for its first marker elsewhere nothing is known.
    """

    def __init__(self, known: Known, running: Iterable[StageGroup]) -> None:
        self._known = known
        self._running: dict[str, set[str]] = defaultdict(set)
        """Stages by build."""
        for group in running:
            self._running[group.build].add(group.stage)

    @property
    def ids(self) -> list[str]:
        """Every build that runs in some stage, ascending."""
        return sorted(self._running)

    def stages(self, build: str) -> list[str]:
        """The stages in which a build runs, in their order."""
        return [stage for stage in STAGES.values() if stage in self._running.get(build, ())]

    def releases(self, build: str) -> list[str]:
        """What a build is known to have, ascending."""
        return sorted(self._known.get(build, ()))

    def lacking(self, release: str, without: str | None = None) -> list[str]:
        """The stages in which no build is known to run a release, in their order; `without` is a build not to count."""
        having = {build for build, found in self._known.items() if release in found} - {without}
        running = {stage for build in having for stage in self._running.get(build, ())}
        return [stage for stage in STAGES.values() if stage not in running]

    def running(self, release: str) -> list[str]:
        """The builds that are known to have a release and run in some stage, ascending."""
        return [build for build in self.ids if release in self._known.get(build, ())]

    def strange_in(self, stage: str) -> bool:
        """Whether a build runs in a stage of which nothing is known."""
        return any(stage in stages and build not in self._known for build, stages in self._running.items())


def installed_build() -> tuple[str, dict[str, str]]:
    """The build of what is installed here, by its id, and its releases, in hex, by domain. Raises SettingsError."""
    domains = load_domains()
    by_name = {domain.name: release.hex() for release, domain in releases(domains).items()}
    return build_id(build_of(domains)), dict(sorted(by_name.items()))


def known_builds(said: Iterable[Manifest], build: str, installed: Collection[str]) -> Known:
    """What builds have, as their checkpoints say; `build` has the releases that are `installed` here."""
    known: dict[str, set[str]] = defaultdict(set)
    known[build] |= set(installed)
    for manifest in said:
        known[build_id(manifest.build)].add(manifest.release.hex())
    return dict(known)


def running_builds(groups: Iterable[str]) -> set[StageGroup]:
    """The builds of lane stages among consumer groups that have members."""
    return {found for found in map(StageGroup.named, groups) if found.stage in STAGES.values()}
