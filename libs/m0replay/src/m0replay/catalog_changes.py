"""What a new generation of a catalog changes, whether it may, and which one is to be written: pure functions.

Sets are compared without their generation: that alone changes nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from m0common.errors import SettingsError
from m0common.stream.partition import partition_for
from m0lanes.control import CatalogSetPayload
from m0lanes.set_rules import lanes_without_clock

from m0replay.shown import short

SEASON_MARK = "~"
"""Parts a group's name from the season of a replayed history: `eng.1~2` is `eng.1` in its second season."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the log says of one catalog: the set in force, None before the first, and the one that is in every lane that
    must have it, None when the next marker will name none.
    """

    in_force: CatalogSetPayload | None = None
    ready: CatalogSetPayload | None = None

    @property
    def newest(self) -> CatalogSetPayload | None:
        """The set that the catalog has, or gets at the next marker."""
        return self.ready or self.in_force

    @property
    def next_generation(self) -> int:
        """The generation that a marker may put in force next; of several sets of it the one said last counts."""
        return 1 if self.in_force is None else self.in_force.generation + 1


class Difference(NamedTuple):
    """A field of the set, dotted, with its value before and after; None where there is none."""

    field: str
    before: Any  # what JSON has: text, numbers, lists
    after: Any


class Next(NamedTuple):
    """The set to write, None when there is nothing to change, and the reason in one line."""

    payload: CatalogSetPayload | None
    why: str


def lanes_of(payload: CatalogSetPayload | None) -> dict[str, int]:
    """Group → partition of every group of a set that is not retired."""
    if payload is None or payload.retired:
        return {}
    return {group: partition_for(group.encode(), payload.partitions) for group in payload.groups}


def lanes_to_write(standing: Standing, payload: CatalogSetPayload) -> list[int]:
    """Every lane of the set in force and of the new one, ascending."""
    return sorted({*lanes_of(standing.in_force).values(), *lanes_of(payload).values()})


def differences(before: CatalogSetPayload | None, after: CatalogSetPayload) -> list[Difference]:
    """Every field that differs, in order of their names; groups one by one with the lane they are in."""
    old, new = ({} if before is None else _flat(before)), _flat(after)
    return [
        Difference(field, old.get(field), new.get(field))
        for field in sorted({*old, *new})
        if old.get(field) != new.get(field)
    ]


def check(
    payload: CatalogSetPayload,
    standing: Standing,
    others: Mapping[str, CatalogSetPayload],
    partitions: int,
    releases: Collection[str],
) -> None:
    """Raises SettingsError for a set that may not be written, naming value and remedy.

    `others` are the newest sets of the other catalogs, `partitions` is the log's count, `releases` are those that are
    installed or asked for by name.
    """
    name = payload.catalog
    if payload.partitions != partitions:
        raise SettingsError(
            f"catalog {name}: the settings say {payload.partitions} partitions and the log has {partitions}: the count "
            f"is fixed for a deployment's life, set kafka.partitions = {partitions}"
        )
    before = standing.in_force
    if before is not None and before.epoch_ms != payload.epoch_ms:
        raise SettingsError(
            f"catalog {name}: epoch_ms = {payload.epoch_ms} and the log has {before.epoch_ms}: the length of epochs is "
            f"fixed for a catalog's life, put it back or choose a new catalog"
        )
    _check_clock(before, payload)
    for other, theirs in sorted(others.items()):
        taken = sorted(set(lanes_of(payload)) & set(lanes_of(theirs)))
        if taken:
            raise SettingsError(
                f"catalog {name}: group {taken[0]!r} belongs to catalog {other}: leave it out, or take it from there"
            )
    if not payload.retired and payload.release not in releases:
        raise SettingsError(
            f"catalog {name}: release {payload.release} is not installed here ({', '.join(sorted(releases)) or 'none'} "
            f"is): install it, or give --release {payload.release} when others run it"
        )


def next_set(
    in_force: CatalogSetPayload | None,
    composed: CatalogSetPayload,
    installed: Collection[str],
    auto_release: bool = True,
) -> Next:
    """What is to be written so that the catalog is as `composed` says. `installed` are releases.

    The release in force stays while it is installed. One that is not gives way to the composed one when `auto_release`
    is set; otherwise it stays, and the lanes wait until it is installed. What an operator has retired stays retired.
    """
    if in_force is None:
        return Next(composed, f"{composed.catalog}: generation {composed.generation} defines it")
    if in_force.retired:
        return Next(None, f"{composed.catalog}: retired, 'm0 catalog set {composed.catalog}' opens it again")
    gone = in_force.release not in installed
    if not (gone and auto_release):
        composed = msgspec.structs.replace(composed, release=in_force.release)
    changed = [each.field for each in differences(in_force, composed)]
    if not changed:
        return Next(None, f"{composed.catalog}: nothing to change, generation {in_force.generation} is as configured")
    if gone and auto_release:
        return Next(
            composed,
            f"{composed.catalog}: release {short(in_force.release)} is not installed, generation {composed.generation} "
            f"goes on with {short(composed.release)}",
        )
    return Next(composed, f"{composed.catalog}: generation {composed.generation} changes {', '.join(changed)}")


def season_set(newest: CatalogSetPayload, groups: Sequence[str], generation: int) -> CatalogSetPayload | None:
    """The set with `groups` of a new season in place of the same ones of the former; None when there is nothing to do.

    Groups that are not of the history stay, and there is no way back to a former season. Raises SettingsError for a
    group that no former season had: who asks for a season may ask for nothing else.
    """
    if newest.retired:
        return None
    history, known = {_base(group) for group in groups}, {_base(group) for group in newest.groups}
    if unknown := sorted(history - known):
        raise SettingsError(f"catalog {newest.catalog}: no season of it had the group {unknown[0]!r}")
    former = [group for group in newest.groups if _base(group) in history]
    if max(map(_season, former), default=0) >= max(map(_season, groups), default=0):
        return None
    wanted = tuple(sorted({*groups, *newest.groups} - set(former)))
    return msgspec.structs.replace(newest, generation=generation, groups=wanted)


def in_season(newest: CatalogSetPayload | None, composed: CatalogSetPayload) -> CatalogSetPayload:
    """The composed set with each group as the season that the log has reached names it."""
    reached = {} if newest is None else {_base(group): group for group in newest.groups if SEASON_MARK in group}
    groups = tuple(sorted(reached.get(group, group) for group in composed.groups))
    return msgspec.structs.replace(composed, groups=groups)


def retired_set(newest: CatalogSetPayload, generation: int) -> CatalogSetPayload:
    """The set that ends a catalog: it has no groups any more, so another catalog may take them."""
    return msgspec.structs.replace(newest, generation=generation, groups=(), retired=True)


def taken_back(course: Sequence[CatalogSetPayload], generation: int) -> CatalogSetPayload | None:
    """The set that takes back the last change of release in the `course` of a catalog: what that change made of other
    fields is taken back too, unless a later set has changed them again. None where the course has had one release.
    """
    newest = course[-1]
    switched, former = newest, None
    for payload in reversed(course):
        if payload.release != newest.release and not payload.retired:
            former = payload
            break
        if payload.release == newest.release:
            switched = payload
    if former is None:
        return None
    mine = ("domain", "model", "params", "horizon_ms", "groups", "sources")
    back = {field: getattr(former, field) for field in mine if getattr(newest, field) == getattr(switched, field)}
    return msgspec.structs.replace(newest, generation=generation, release=former.release, **back)


def closing(before: CatalogSetPayload | None, after: CatalogSetPayload, markets: Mapping[str, str]) -> list[str]:
    """The open markets (id → group) that the marker closes: those of groups that the new generation does not name."""
    kept, had = lanes_of(after), lanes_of(before)
    return sorted(market for market, group in markets.items() if group in had and group not in kept)


def _check_clock(before: CatalogSetPayload | None, after: CatalogSetPayload) -> None:
    begin = lanes_without_clock(before, after)
    if not begin:
        return
    raise SettingsError(
        f"catalog {after.catalog}: a new key of the clock and the new lane {begin[0]} in one set: no marker could be "
        "signed for the lanes before and for the new one; write two sets, one after the other: first the key with the "
        "groups as they are, and when that is in force the groups"
    )


def _base(group: str) -> str:
    return group.partition(SEASON_MARK)[0]


def _season(group: str) -> int:
    number = group.partition(SEASON_MARK)[2]
    return int(number) if number.isdecimal() else 1


def _flat(payload: CatalogSetPayload) -> dict[str, Any]:
    values = msgspec.to_builtins(payload)
    del values["generation"], values["catalog"]
    values["groups"] = lanes_of(payload)
    values["certificates"] = [each["new"] for each in values["certificates"]]
    return dict(_dotted(values))


def _dotted(table: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{before}{key}.")
        elif value is not None and value is not False and value != []:
            yield f"{before}{key}", list(value) if isinstance(value, tuple) else value
