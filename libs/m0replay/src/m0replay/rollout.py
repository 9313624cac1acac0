"""Releases side by side: which ones the log names, who runs them, and what is to be written to change that.

A catalog goes from one release to another at a marker, in all its lanes at once, while builds of both run. So what is
changed is looked at from the build that is installed here: `switch` names its releases, `back` those that they took the
place of.
"""

from collections.abc import Sequence
from typing import NamedTuple

from m0common.canonical import ZERO
from m0common.errors import SettingsError, nearest
from m0common.stream.restored import LANE_STAGES
from m0lanes.control import CatalogSetPayload
from m0lanes.slots import NO_RELEASE

from m0replay.builds import Builds
from m0replay.catalog_changes import taken_back
from m0replay.catalog_desk import CatalogDesk, Plan
from m0replay.lanes import STAGES
from m0replay.manifest_log import ManifestLog
from m0replay.unrun import needs


class Named(NamedTuple):
    """A catalog and the release that it has, or gets at the next marker: `waits` tells which. `fault` says why the one
    installed here cannot take its place, in a sentence; `installed` is that one, None without its domain.
    """

    catalog: str
    generation: int
    release: str
    waits: bool
    installed: str | None
    fault: str | None

    @property
    def is_due(self) -> bool:
        """Whether a switch would name another release."""
        return self.release != self.installed


class Step(NamedTuple):
    """A set that changes the release of a catalog, or the one that has been said already: then nothing is written."""

    plan: Plan
    is_new: bool


class Rollout:
    """One look at a deployment: `desk` and `states` have been read, `here` is the id of the build installed here."""

    def __init__(self, desk: CatalogDesk, states: ManifestLog, builds: Builds, here: str) -> None:
        self.desk, self.states, self.builds, self.here = desk, states, builds, here
        self._lanes = states.newest()

    def catalogs(self) -> list[str]:
        """Every catalog that the log has and that is not retired, ascending; also one whose set the log has lost."""
        log = self.desk.log
        found = {
            name: None if log.lost(name) is not None else log.standing(name).newest for name in log.control.catalogs()
        }
        return [name for name, newest in found.items() if newest is None or not newest.retired]

    def chosen(self, names: Sequence[str]) -> list[str]:
        """The catalogs of these names, all where none is given. Raises SettingsError for one that there is not."""
        known = self.catalogs()
        for name in names:
            if name not in known:
                raise SettingsError(f"the log has no catalog {name} that is not retired{nearest(name, known)}")
        if not known:
            raise SettingsError("the log defines no catalog yet: run `m0 bootstrap`, or `m0 catalog set CATALOG`")
        return sorted(set(names)) or known

    def named(self, catalog: str) -> Named:
        """A catalog beside what is installed here. Raises SettingsError when the log has lost its set."""
        newest, standing = self._newest(catalog), self.desk.log.standing(catalog)
        installed = self.desk.release_of(newest.domain.name)
        fault = None
        if installed is None:
            domain = newest.domain
            fault = (
                f"domain {domain.name} of catalog {catalog} is not installed beside this m0: use the m0 of a version "
                f"that has it ({domain.distribution})"
            )
        elif installed != newest.release:
            fault = self._fault(catalog, installed)
        waits = standing.ready is not None
        return Named(catalog, newest.generation, newest.release, waits, installed, fault)

    def switches(self, names: Sequence[str] = ()) -> list[Step]:
        """What names the releases that are installed here. Raises SettingsError for the first catalog that cannot go
        over, and for a set that may not be written.
        """
        found = []
        for catalog in self.chosen(names):
            now = self.named(catalog)
            if now.fault is not None:
                raise SettingsError(now.fault)
            payload = self.desk.composed(catalog, release=now.installed) if now.is_due else self._newest(catalog)
            found.append(Step(self.desk.plan(payload), now.is_due))
        return found

    def ways_back(self, names: Sequence[str] = ()) -> list[Step]:
        """What names the releases before those that are installed here, of catalogs that have these. Raises as
        `switches` does, and where the log holds no set before: of catalogs that are not named, when none has one.
        """
        found, nowhere = [], []
        for catalog in self.chosen(names):
            newest, standing = self._newest(catalog), self.desk.log.standing(catalog)
            is_due = newest.release == self.desk.release_of(newest.domain.name)
            payload = newest
            if is_due:
                course = self.desk.log.control.course(catalog)
                former = taken_back(course, standing.next_generation) if course else None
                if former is None:
                    nowhere.append(
                        f"the log holds no set of catalog {catalog} with another release than {newest.release}: run "
                        f"`m0 release switch {catalog}` with the m0 of the version to go back to"
                    )
                    continue
                payload, fault = former, self._fault(catalog, former.release)
                if fault is not None:
                    raise SettingsError(fault)
            found.append(Step(self.desk.plan(payload, [payload.release]), is_due))
        if nowhere and (names or not found):
            raise SettingsError(*nowhere)
        return found

    def stays(self, build: str) -> list[str]:
        """Why a running build has to stay, in words; nothing when it may go."""
        why = []
        for catalog in self.desk.log.control.catalogs():
            needed = {
                release: need.who(catalog) for release, need in needs(self.desk.log, catalog, self.states.said).items()
            }
            for release, where in self._behind(catalog).items():
                who = f"what is not over in {', '.join(where)}"
                needed[release] = f"{needed[release]}, {who}" if release in needed else who
            why += [
                f"{needed[release]} of catalog {catalog} needs release {release}, which no other build runs"
                for release in sorted(needed.keys() & set(self.builds.releases(build)))
                if self.builds.lacking(release, without=build)
            ]
        return why

    def _newest(self, catalog: str) -> CatalogSetPayload:
        newest = self.desk.log.standing(catalog).newest
        if newest is None:
            raise SettingsError(
                f"catalog {catalog} waits for its first marker: look at `m0 catalog list`, and that ingest runs"
            )
        return newest

    def _fault(self, catalog: str, release: str) -> str | None:
        """Why a catalog cannot go over to a release now: who would have to run does not, or a lane stands still."""
        lacking = self.builds.lacking(release)
        if lacking:
            return (
                f"no build that is known to have release {release} of catalog {catalog} runs in {', '.join(lacking)}: "
                "install it beside what runs, and wait until `m0 release plan` shows it"
            )
        for runs in sorted(needs(self.desk.log, catalog, self.states.said).keys() - {release}):
            lacking = self.builds.lacking(runs)
            if lacking:
                return (
                    f"nobody brings the lanes of catalog {catalog} to a marker: their release {runs} runs in no "
                    f"{' and no '.join(lacking)}: start it again, or, where it is gone for good, "
                    f"`m0 catalog set {catalog} --release {release}` and `m0 lane rebase {catalog} --release {release}`"
                )
        for (of, partition, stage), manifest in self._lanes.items():
            if of == catalog and manifest.status == "parked":
                return (
                    f"lane {catalog}/{partition} is parked in {STAGES[stage]} ({manifest.reason}) and comes to no "
                    "marker: repair it first, `m0 lane list` shows it"
                )
        return None

    def _behind(self, catalog: str) -> dict[str, list[str]]:
        """Where a catalog has not come to the marker that gives it another release: stages, by the release that still
        has to bring it there. What a rebase goes on from, it leaves to the new life.
        """
        log, found = self.desk.log, dict[str, list[str]]()
        now = log.control.in_force(catalog)
        for (of, partition, stage), manifest in self._lanes.items():
            if of != catalog or now is None or (manifest.status == "retired" and manifest.following == ZERO):
                continue
            begun = log.lives.newest(catalog, partition) if stage in LANE_STAGES else None
            runner, is_left = manifest.runner, begun is not None and begun.life > manifest.life
            if runner != NO_RELEASE and runner.hex() != now.payload.release and not is_left:
                found.setdefault(runner.hex(), []).append(f"{STAGES[stage]} of {catalog}/{partition}")
        return found
