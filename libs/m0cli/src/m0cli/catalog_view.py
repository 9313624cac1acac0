"""How `m0 catalog` shows what it found: as JSON, and as text."""

from typing import Any

from m0replay.catalog_changes import Standing, lanes_of
from m0replay.catalog_desk import CatalogDesk, Plan
from m0replay.shown import short

SHOWN = 10
"""So many markets are named in text; JSON has all."""

Json = dict[str, Any]
"""What JSON has: text, numbers, lists, objects."""


def entries(desk: CatalogDesk) -> list[Json]:
    """Every catalog of the log: generation, release, groups, lanes, epoch, retired, the generation that is next, and
    the one whose set the log has lost, where nothing says more than the markers do.
    """
    found = []
    for name in desk.log.control.catalogs():
        lost, marker = desk.log.lost(name), desk.log.control.newest(name)
        standing = desk.log.standing(name) if lost is None else Standing()
        shown = standing.in_force
        found.append(
            {
                "catalog": name,
                "generation": (lost or 0) if shown is None else shown.generation,
                "lost": lost,
                "next_generation": None if standing.ready is None else standing.ready.generation,
                "release": None if shown is None else shown.release,
                "groups": [] if shown is None else list(shown.groups),
                "lanes": sorted(set(lanes_of(shown).values())),
                "epoch_ms": None if standing.newest is None else standing.newest.epoch_ms,
                "epoch_id": None if marker is None else marker.payload.epoch_id,
                "retired": shown is not None and shown.retired,
            }
        )
    return found


def listed(found: list[Json]) -> str:
    """The same as lines of text."""
    return "\n".join(_line(entry) for entry in found) or "The log defines no catalog."


def plan_json(plan: Plan) -> Json:
    """A plan; `changes` is empty when there is nothing to change."""
    before, after = lanes_of(plan.before), lanes_of(plan.payload)
    return {
        "catalog": plan.payload.catalog,
        "generation": plan.payload.generation,
        "release": plan.payload.release,
        "groups_added": {group: lane for group, lane in after.items() if group not in before},
        "groups_removed": {group: lane for group, lane in before.items() if group not in after},
        "changes": [change._asdict() for change in plan.changes],
        "closes": plan.closes,
        "lanes": plan.lanes,
    }


def plan_text(plan: Plan) -> str:
    """A plan for people: a line per group and per field that changes, then what closes and where it is written. Where
    nothing changes it names the release, so that a checkout can be told by it.
    """
    name, generation = plan.payload.catalog, plan.payload.generation
    if not plan.changes:
        return f"{name}: nothing to change, release {plan.payload.release}"
    lines = [f"{name}: generation {generation}"]
    for field, before, after in plan.changes:
        kind, _, group = field.partition(".")
        if kind == "groups":
            sign, lane = ("+", after) if before is None else ("-", before)
            lines.append(f"  {sign} group {group} in lane {lane}")
        elif field == "retired":
            lines.append("  retired" if after else "  begun again (it was retired)")
        else:
            lines.append(f"  {field}: {_text(before)} → {_text(after)}")
    if plan.closes:
        more = f" and {len(plan.closes) - SHOWN} more" if len(plan.closes) > SHOWN else ""
        lines.append(f"  closes {len(plan.closes)} markets: {', '.join(plan.closes[:SHOWN])}{more}")
    lines.append(f"  written into lanes {', '.join(map(str, plan.lanes))}")
    return "\n".join(lines)


def _line(entry: Json) -> str:
    if entry["lost"] is not None:
        return (
            f"{entry['catalog']}: generation {entry['lost']}, whose set is not in the log any more: write its record "
            f"again from a backup, epoch {entry['epoch_id']}"
        )
    if not entry["generation"]:
        return f"{entry['catalog']}: waits for its first marker, generation {entry['next_generation']} is written"
    state = "retired" if entry["retired"] else f"groups {', '.join(entry['groups'])}"
    waits = f", generation {entry['next_generation']} waits" if entry["next_generation"] else ""
    return (
        f"{entry['catalog']}: generation {entry['generation']}{waits}, release {short(entry['release'])}, {state}, "
        f"lanes {', '.join(map(str, entry['lanes'])) or 'none'}, epoch {entry['epoch_id']} of {entry['epoch_ms']} ms"
    )


def _text(value: Any) -> str:  # a field of a set
    return "none" if value is None else str(value)
