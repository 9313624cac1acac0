"""How `m0 release` shows what it found: as JSON, and as text."""

from collections.abc import Iterable

from m0common.errors import SettingsError
from m0replay.rollout import Named, Rollout, Step
from m0replay.shown import short

from m0cli.catalog_view import Json, plan_text


def rollout_json(rollout: Rollout) -> Json:
    """The answer of `m0 release plan --json`: `fault` says why a catalog that is due cannot go over now."""
    builds = rollout.builds
    return {
        "here": rollout.here,
        "builds": [
            {"id": build, "stages": builds.stages(build), "releases": builds.releases(build)} for build in builds.ids
        ],
        "catalogs": [_named_json(rollout, catalog) for catalog in rollout.catalogs()],
    }


def _named_json(rollout: Rollout, catalog: str) -> Json:
    try:
        found = rollout.named(catalog)
    except SettingsError as error:
        return {"catalog": catalog, "generation": None, "release": None, "waits": False, "installed": None,
                "builds": [], "due": False, "fault": str(error)}  # fmt: skip
    return {
        "catalog": catalog,
        "generation": found.generation,
        "release": found.release,
        "waits": found.waits,
        "installed": found.installed,
        "builds": rollout.builds.running(found.release),
        "due": found.is_due,
        "fault": found.fault,
    }


def plan_lines(rollout: Rollout) -> list[str]:
    """The same for people: a line for each build and each catalog, and what to do next."""
    builds, found, lost = rollout.builds, list[Named](), list[str]()
    for catalog in rollout.catalogs():
        try:
            found.append(rollout.named(catalog))
        except SettingsError as error:
            lost.append(str(error))
    lines = [_build_line(rollout, build) for build in builds.ids]
    if rollout.here not in builds.ids:
        lines.append(f"build {rollout.here} is installed here and runs in no stage")
    for each in found:
        what = "waits for its marker with" if each.waits else "names"
        lines.append(
            f"{each.catalog}: generation {each.generation} {what} release {short(each.release)} "
            f"({_those(builds.running(each.release))})"
        )
    return [*lines, *lost, *_next(found)]


def _next(found: Iterable[Named]) -> list[str]:
    due = [each for each in found if each.is_due]
    faults = [each.fault for each in due if each.fault is not None]
    if faults:
        return faults
    if due:
        what = ", ".join(f"{each.catalog} {short(each.installed or '')}" for each in due)
        return [f"Next: `m0 release switch` names what is installed here: {what}"]
    return ["Every catalog names what is installed here; `m0 release finish` says what may be removed."]


def _build_line(rollout: Rollout, build: str) -> str:
    builds = rollout.builds
    has = f"has {', '.join(map(short, builds.releases(build)))}" if builds.releases(build) else "has said nothing yet"
    here = ", installed here" if build == rollout.here else ""
    return f"build {build} runs in {', '.join(builds.stages(build))}: {has}{here}"


def _those(builds: Iterable[str]) -> str:
    named = list(builds)
    return "which nobody is known to run" if not named else f"build{'s'[: len(named) > 1]} {', '.join(named)}"


def step_text(step: Step) -> str:
    """What a step writes, or that it has been said already."""
    payload = step.plan.payload
    if step.is_new:
        return plan_text(step.plan)
    return f"{payload.catalog}: generation {payload.generation} names release {short(payload.release)} already"
