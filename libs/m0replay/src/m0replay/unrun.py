"""Which releases a log needs to have run, and what to do about those that nobody will run behind an upgrade."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from m0common.errors import SettingsError
from m0common.messages import Manifest
from m0common.stream.broker import Broker
from m0common.stream.groups import build_id
from m0common.stream.states import manifests
from m0common.topics import MANIFESTS
from m0lanes.births import no_life
from m0lanes.slots import NO_RELEASE

from m0replay.catalog_log import CatalogLog
from m0replay.rebasing import saved_of


class Staying(NamedTuple):
    """What else runs behind an upgrade: releases, in hex, and builds by their ids, which have what they have run."""

    releases: Collection[str] = ()
    builds: Collection[str] = ()


class Need(NamedTuple):
    """Who needs a release: generations of a catalog, and lanes by their partitions."""

    generations: list[int]
    lanes: list[int]

    def who(self, catalog: str) -> str:
        """In words, the catalog's name left to the sentence."""
        lanes = (f"lane {catalog}/{lane}" for lane in self.lanes)
        return ", ".join([*(f"generation {number}" for number in self.generations), *lanes])


async def unrun(
    broker: Broker, log: CatalogLog, installed: Mapping[str, str], staying: Staying
) -> tuple[set[str], list[str]]:
    """Every release, in hex, that a set in force or on its way names, or that runs a lane which is not over; and a
    sentence with the command for each that is neither among `installed`, the hash by name of domain, nor `staying`.
    `log` has been read. Raises Unavailable.
    """
    said = await manifests(broker, range(await broker.partitions(MANIFESTS.name)))
    known = [manifest for manifest in said if no_life(manifest, log.deployment) is None]
    by_build = {manifest.release.hex() for manifest in known if build_id(manifest.build) in staying.builds}
    here = {*installed.values(), *staying.releases, *by_build}
    needed: set[str] = set()
    faults = []
    for catalog in log.control.catalogs():
        try:
            found = needs(log, catalog, known)
        except SettingsError as error:  # the log has lost the set in force
            faults.append(str(error))
            continue
        needed |= found.keys()
        faults += [_fault(log, catalog, release, found[release], installed) for release in sorted(found.keys() - here)]
    return needed, faults


def needs(log: CatalogLog, catalog: str, known: Iterable[Manifest]) -> dict[str, Need]:
    """The releases of one catalog, in hex, each with who needs it. `known` are manifests of lives that a signed rebase
    begins, and `log` has been read. Raises SettingsError when it has lost the set in force.
    """
    found: dict[str, Need] = {}
    standing, in_force = log.standing(catalog), log.control.in_force(catalog)
    for payload in (standing.in_force, standing.ready):
        if payload is not None and not payload.retired:
            found.setdefault(payload.release, Need([], [])).generations.append(payload.generation)
    mine = [manifest for manifest in known if manifest.catalog == catalog]
    named = () if in_force is None else in_force.lanes
    for partition in sorted({*named, *(manifest.partition for manifest in mine if manifest.stage == 1)}):
        lane = saved_of(mine, catalog, partition)
        runner = lane.runner(log.lives.newest(catalog, partition), in_force)
        if runner is not None and runner != NO_RELEASE and not lane.is_over:
            found.setdefault(runner.hex(), Need([], [])).lanes.append(partition)
    return found


def _fault(log: CatalogLog, catalog: str, release: str, need: Need, installed: Mapping[str, str]) -> str:
    standing = log.standing(catalog)
    made = standing.in_force or standing.newest
    new = None if made is None else installed.get(made.domain.name)
    if new is None:
        what = "" if made is None else f" {made.domain.distribution}, which has domain {made.domain.name}"
        remedy = f"install the distribution{what}"
    elif need.generations:
        remedy = (
            f"install the new build beside it and follow `m0 release plan`, or, when the old one is gone, "
            f"`m0 catalog set {catalog} --release {new}` and then `m0 lane rebase {catalog} --release {new}`"
        )
    else:
        remedy = ", ".join(f"`m0 lane rebase {catalog} --partition {lane} --release {new}`" for lane in need.lanes)
    return (
        f"{need.who(catalog)} of catalog {catalog} needs release {release}, which is not among those installed here: "
        f"{remedy}; or say --releases {release}, or --builds with its id, when a build that has it stays installed"
    )
