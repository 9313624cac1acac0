"""What becomes of lanes whose release is not installed any more, as after an edited file: they go on with the code that
is, from the newest marker whose states it reads, else from the beginning of the log.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from m0common.errors import SettingsError
from m0common.stream.broker import Broker
from m0common.stream.restored import Restored
from m0common.stream.states import restore_newest
from m0lanes.checkpoints import gathered
from m0lanes.control import CatalogSetPayload
from m0lanes.generations import lanes_of
from m0lanes.port import Domain
from m0lanes.slots import NO_RELEASE

from m0replay.catalog_log import CatalogLog
from m0replay.lives import Begun
from m0replay.readable import unread
from m0replay.rebasing import RebasePlan, Saved, plan_anew, plan_rebase, saved


class GoingOn(NamedTuple):
    """The new lives of one catalog's lanes, and one line that says from where they go on."""

    catalog: str
    plans: list[RebasePlan]
    line: str


async def goes_on(
    broker: Broker, log: CatalogLog, catalog: str, installed: Mapping[bytes, Domain], otherwise: str
) -> GoingOn | None:
    """What a catalog needs, None when whoever runs its lanes is installed. `installed` are domains by release, and
    `otherwise` names the domain to go on with when the one in force is not installed under any release. `log` has been
    read.

    Raises SettingsError when the installed code cannot take over what is closed; Unavailable.
    """
    in_force = log.control.in_force(catalog)
    if in_force is None or in_force.payload.retired:
        return None
    left: list[Saved] = []
    for partition in lanes_of(in_force.payload):
        known = await saved(broker, log.deployment, catalog, partition)
        begun = log.lives.newest(catalog, partition)
        if _runs(known, begun, in_force.payload) not in installed:
            left.append(known)
    by_name = {domain.name: (release, domain) for release, domain in sorted(installed.items())}
    chosen = by_name.get(in_force.payload.domain.name) or by_name.get(otherwise)
    if not left or chosen is None:
        return None
    release, domain = chosen
    await _check_bundle(broker, left[0], domain)

    def problem(states: Iterable[Restored]) -> str | None:
        return unread(states, domain)

    plans = []
    for known in left:
        if known.newest is None:
            plans.append(await plan_anew(broker, log, catalog, known.partition, release))
        else:
            plans.append(await plan_rebase(broker, log, catalog, known.partition, release, unread=problem))
    return GoingOn(catalog, plans, f"{catalog} goes on with the installed code from {_origins(plans)}")


def _runs(known: Saved, begun: Begun | None, in_force: CatalogSetPayload) -> bytes:
    """The release that runs a lane, or will when it reads what the log has for it."""
    now = known.newest
    if begun is not None and (now is None or begun.life > now.life):
        return bytes.fromhex(begun.release)
    if now is None or now.status == "retired" or now.runner == NO_RELEASE:
        return bytes.fromhex(in_force.release)
    return now.runner


async def _check_bundle(broker: Broker, known: Saved, domain: Domain) -> None:
    """What is closed stays closed: the bundle stage must read its newest state, no rebase gives it another."""
    why = unread(await restore_newest(broker, known.bundle, gathered), domain)
    if why is not None:
        raise SettingsError(
            f"catalog {known.catalog}: the installed code does not read what is closed ({why}): put that change back, "
            "or run 'make clean' to begin without a past"
        )


def _origins(plans: Iterable[RebasePlan]) -> str:
    """From where the lanes go on, each origin once."""
    lanes: dict[str, list[int]] = {}
    for plan in plans:
        why = "" if plan.unread is None else f": the installed code does not read newer states ({plan.unread})"
        if plan.unread is not None and not any(root.strip("0") for root in plan.payload.roots):
            why = f": the installed code does not read its states ({plan.unread})"
        lanes.setdefault(plan.origin + why, []).append(plan.payload.partition)
    if len(lanes) == 1:
        return next(iter(lanes))
    return "; ".join(
        f"{origin} (lane{'s'[: len(found) > 1]} {', '.join(map(str, found))})" for origin, found in lanes.items()
    )
