"""`m0 lane`: the lanes of every stage, and a new life for one whose log or release is not what it must be."""

import json
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from m0chain.keyfile import plain_key
from m0common.canonical import ZERO
from m0common.deployment import Deployment
from m0common.errors import SettingsError
from m0common.settings import Settings
from m0common.stream.broker import Broker
from m0common.stream.restored import Restored
from m0lanes.control import RebasePayload
from m0lanes.port import Domain
from m0replay.catalog_log import CatalogLog
from m0replay.lanes import LaneRow, lane_rows
from m0replay.readable import unread
from m0replay.rebasing import RebasePlan, check_rebase, plan_rebase, saved, write_rebases
from m0replay.shown import short
from msgspec.structs import replace
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from m0cli.arguments import PARTITION_MAX, check_release, is_epoch
from m0cli.catalog import control_key_file
from m0cli.on_broker import on_broker

app = typer.Typer(no_args_is_help=True, help="Lanes: how far each stage is, and new lives for them.")

BEGINNING = "beginning"
INSTALLED = "installed"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


class Asked(NamedTuple):
    """What is asked of `m0 lane rebase`: `release` is a hash in hex, INSTALLED, or None for the one that runs; `origin`
    an epoch, BEGINNING, or None for the newest marker that serves.
    """

    catalog: str
    partition: int | None = None
    release: str | None = None
    origin: str | None = None


@app.command(name="list")
def list_lanes(as_json: Json = False) -> None:
    """Every lane by catalog, partition and stage, as its newest checkpoint shows it."""

    async def work(broker: Broker, settings: Settings) -> list[LaneRow]:
        return await lane_rows(broker, Deployment.of(settings))

    rows = on_broker("lane", work, as_json)
    if as_json:
        print(json.dumps(lanes_json(rows)))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("lane", "stage", "gen", "life", "epoch", "seq", "lag", "entities", "bytes", "release", "state"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        numbers = (row.generation, row.life, row.epoch_id, row.seq, row.lag, row.entities, row.state_bytes)
        state = "running" if row.parked is None else f"parked: {row.parked}"
        table.add_row(f"{row.catalog}/{row.partition}", row.stage, *map(str, numbers), short(row.release), state)
    # nothing is cut off, however narrow the terminal is, or where there is none
    endless = Console(width=1 << 16)
    Console(width=Measurement.get(endless, endless.options, table).maximum).print(table)


@app.command()
def rebase(
    catalog: Annotated[str, typer.Argument(metavar="CATALOG", help="The catalog, for example sports.")],
    partition: Annotated[
        int | None, typer.Option(help="One lane of it; all when not given.", min=0, max=PARTITION_MAX)
    ] = None,
    release: Annotated[
        str | None, typer.Option(help="The release to go on with: a hash, or 'installed'; the same when not given.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option("--from", help="An epoch, or 'beginning'; the newest that serves when not given.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The control key's file.", envvar="M0_CONTROL_KEY_FILE", show_envvar=True)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Begin a new life of a catalog's lanes, from states in the log.

    Shows what it will do and asks; where nobody can be asked, and without --yes, it writes nothing.
    """
    if origin is not None and origin != BEGINNING and not is_epoch(origin):
        raise typer.BadParameter(f"--from {origin}: give an epoch number or '{BEGINNING}'")
    if release is not None and release != INSTALLED:
        check_release(release, f", or '{INSTALLED}'")
    file = control_key_file(key) if yes else None

    asked = Asked(catalog, partition, release, origin)

    async def look(broker: Broker, settings: Settings) -> tuple[list[RebasePlan], Mapping[bytes, Domain]]:
        log, here = await _read(broker, settings), _installed()
        return await plans(broker, log, asked, here), here

    found, installed = on_broker("lane", look, as_json)
    if not as_json:
        print(plans_text(found, installed))
    if not yes:
        if as_json or not sys.stdin.isatty():
            said = json.dumps(plans_json(found, installed, written=False))
            print(said if as_json else "Nothing is written: give --yes.")
            return
        typer.confirm("Write it?", abort=True)
    control = file or control_key_file(key)

    async def write(broker: Broker, settings: Settings) -> list[RebasePlan]:
        log = await _read(broker, settings)
        current = confirmed(found, await plans(broker, log, asked, installed))
        await write_rebases(broker, log.key(catalog, plain_key(control)), current, log.clock)
        return current

    written = on_broker("lane", write, as_json)
    if as_json:
        print(json.dumps(plans_json(written, installed, written=True)))
        return
    if written != found:
        print(f"Meanwhile the lanes went on:\n{plans_text(written, installed)}")
    print("Written: the lanes go on behind what they read.")


def confirmed(shown: Sequence[RebasePlan], current: Sequence[RebasePlan]) -> list[RebasePlan]:
    """The plans of now, to be written since those that were shown are confirmed: only markers may have gone on.

    Raises SettingsError when anything else differs: a life that has begun meanwhile would be begun by nobody again.
    """
    for before, now in zip(shown, current, strict=False):
        if _promised(before) != _promised(now):
            lane, lives = f"{now.payload.catalog}/{now.payload.partition}", (before.payload.life, now.payload.life)
            what = f"began life {lives[1] - 1}" if lives[0] < lives[1] else "is not as it was shown"
            raise SettingsError(f"nothing is written: meanwhile lane {lane} {what}: run the command again")
    if len(shown) != len(current):
        raise SettingsError("nothing is written: meanwhile the catalog's lanes are others: run the command again")
    return list(current)


def _promised(plan: RebasePlan) -> RebasePayload:
    """What of a plan does not follow from the marker that the lane goes on from."""
    return replace(plan.payload, epoch_id=0, roots=(ZERO.hex(),) * 3, offset=0)


async def plans(broker: Broker, log: CatalogLog, asked: Asked, installed: Mapping[bytes, Domain]) -> list[RebasePlan]:
    """A plan for every lane that is asked for. `log` has been read; `installed` are domains by release.

    Raises SettingsError for what is not there or does not serve; Unavailable.
    """
    catalog = asked.catalog
    rows = [
        row for row in await lane_rows(broker, log.deployment) if row.catalog == catalog and row.stage == "normalize"
    ]
    lanes = sorted({row.partition for row in rows}) if asked.partition is None else [asked.partition]
    if not lanes:
        raise SettingsError(f"catalog {catalog} has no lane: see 'm0 lane list'")
    release = _release(log, asked, installed)
    await check_rebase(broker, log, catalog, lanes, release)
    origin = asked.origin
    made = []
    for lane in lanes:
        known = await saved(broker, log.deployment, catalog, lane)
        runs = release or known.runner(log.lives.newest(catalog, lane), log.control.in_force(catalog))
        plan = plan_rebase(
            broker,
            log,
            catalog,
            lane,
            release,
            from_epoch=int(origin) if origin is not None and origin != BEGINNING else None,
            from_beginning=origin == BEGINNING,
            unread=_reader(installed.get(runs) if runs is not None else None),
        )
        made.append(await plan)
    return made


def _reader(domain: Domain | None) -> Callable[[Sequence[Restored]], str | None]:
    """What the code that goes on does not read; code that is not here cannot be asked."""
    return lambda states: None if domain is None else unread(states, domain)


def _release(log: CatalogLog, asked: Asked, installed: Mapping[bytes, Domain]) -> bytes | None:
    """The release to go on with: None for the one that each lane has."""
    if asked.release is None:
        return None
    if asked.release != INSTALLED:
        return bytes.fromhex(asked.release)
    in_force = log.control.in_force(asked.catalog)
    if in_force is None:
        raise SettingsError(f"catalog {asked.catalog} has no generation in force: see 'm0 catalog list'")
    wanted = in_force.payload.domain
    found = next((release for release, domain in installed.items() if domain.name == wanted.name), None)
    if found is None:
        raise SettingsError(f"domain {wanted.name} is not installed here: install {wanted.distribution}")
    return found


def lanes_json(rows: Sequence[LaneRow]) -> dict[str, Any]:  # what JSON has
    """The answer of `m0 lane list --json`."""
    return {"lanes": [row._asdict() for row in rows]}


def plans_json(
    found: Sequence[RebasePlan], installed: Container[bytes], *, written: bool
) -> dict[str, Any]:  # what JSON has
    """The answer of `m0 lane rebase --json`. `installed` are releases."""
    fields = ("catalog", "partition", "life", "epoch_id", "release", "offset")
    rebases = [
        {field: getattr(plan.payload, field) for field in fields}
        | {"roots": list(plan.payload.roots), "gap": plan.gap, "unread": plan.unread}
        | {"installed": bytes.fromhex(plan.payload.release) in installed}
        for plan in found
    ]
    return {"written": written, "rebases": rebases}


def plans_text(found: Sequence[RebasePlan], installed: Container[bytes]) -> str:
    """A line for each lane: its life, its release, from where it goes on; and one for each release that is not among
    those that are installed.
    """
    lines = [
        f"{plan.payload.catalog}/{plan.payload.partition}: life {plan.payload.life} goes on with release "
        f"{short(plan.payload.release)} from {plan.origin}"
        + ("" if plan.unread is None else f" (newer states are not read by the installed code: {plan.unread})")
        for plan in found
    ]
    missing = sorted({p.payload.release for p in found if bytes.fromhex(p.payload.release) not in installed})
    lines += [
        f"release {release} is not installed here: the lane stands still until somebody runs it" for release in missing
    ]
    return "\n".join(lines)


def _installed() -> Mapping[bytes, Domain]:
    from m0lanes.domains import load_domains  # noqa: PLC0415 - imports every domain
    from m0lanes.release import releases  # noqa: PLC0415

    return releases(load_domains())


async def _read(broker: Broker, settings: Settings) -> CatalogLog:
    from m0common.clock import system_clock  # noqa: PLC0415

    log = CatalogLog(broker, Deployment.of(settings), system_clock(settings.env))
    await log.read()
    return log
