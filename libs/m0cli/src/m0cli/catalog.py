"""`m0 catalog`: what the log says of catalogs, what the files would change, and the signed set that changes it."""

import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from m0chain.keyfile import plain_key
from m0common.errors import SettingsError, nearest
from m0common.settings import Settings
from m0common.stream.broker import Broker
from m0lanes.control import CatalogSetPayload, Certificate
from m0replay import catalog_files
from m0replay.catalog_desk import CatalogDesk
from m0replay.control_keys import read_certificate
from solders.keypair import Keypair

from m0cli.arguments import check_release
from m0cli.catalog_view import entries, listed, plan_json, plan_text
from m0cli.on_broker import on_broker

app = typer.Typer(no_args_is_help=True, help="Catalogs: what the log says, and what the files would change.")

WAIT_S = 120.0

Name = Annotated[str, typer.Argument(metavar="CATALOG", help="The catalog, for example sports.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
File = Annotated[
    Path | None, typer.Option("--file", help=r"Read \[catalog] from this file (default: markets/CATALOG.toml).")
]
Release = Annotated[
    str | None, typer.Option("--release", help="Name this release, in hex, though it is not installed here.")
]
Key = Annotated[
    Path | None, typer.Option("--key", help="The control key's file.", envvar="M0_CONTROL_KEY_FILE", show_envvar=True)
]
Certificates = Annotated[
    list[Path] | None,
    typer.Option(
        "--certificate",
        help="A file of 'm0 control-key certify'; for a chain of them once for each, the oldest first.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Write without asking.")]
Timeout = Annotated[
    float, typer.Option(help="Seconds to wait for the marker that puts it in force; 0 does not.", min=0)
]


@app.command(name="list")
def list_catalogs(as_json: Json = False) -> None:
    """Catalogs of the log with generation, release, groups, lanes and newest epoch."""

    async def work(desk: CatalogDesk) -> None:
        found = entries(desk)
        print(json.dumps({"catalogs": found}) if as_json else listed(found))

    _run(work, as_json)


@app.command()
def plan(
    name: Name,
    file: File = None,
    release: Release = None,
    certificate: Certificates = None,
    as_json: Json = False,
) -> None:
    """What `m0 catalog set` would change against the set in force; nothing is written."""
    named = _named(release)
    words = _certificates(certificate)

    async def work(desk: CatalogDesk) -> None:
        found = desk.plan(desk.composed(name, file, release, words), named)
        print(json.dumps(plan_json(found)) if as_json else plan_text(found))

    _check_name(name, file)
    _run(work, as_json)


@app.command(name="set")
def set_catalog(
    name: Name,
    file: File = None,
    release: Release = None,
    certificate: Certificates = None,
    key: Key = None,
    yes: Yes = False,
    timeout: Timeout = WAIT_S,
    as_json: Json = False,
) -> None:
    """Write the set that the files describe, signed, and wait until a marker has put it in force.

    With certificates the key signs that the last of them names.
    """
    _check_name(name, file)
    named = _named(release)
    words = _certificates(certificate)
    write = _writing(key, yes, timeout, as_json)

    async def work(desk: CatalogDesk) -> None:
        await put(desk, desk.composed(name, file, release, words), write, named)

    _run(work, as_json)


@app.command()
def retire(name: Name, key: Key = None, yes: Yes = False, timeout: Timeout = WAIT_S, as_json: Json = False) -> None:
    """End a catalog: its markets close at the next marker, and its groups are free for another one."""
    write = _writing(key, yes, timeout, as_json)

    async def work(desk: CatalogDesk) -> None:
        await put(desk, desk.retired(name), write)

    _run(work, as_json)


@dataclass(frozen=True, slots=True)
class Writing:
    """How a set is written: who signs, whether to ask first, how long to wait for its marker, how to report."""

    key: Keypair
    ask: bool
    timeout_s: float
    as_json: bool


async def put(desk: CatalogDesk, payload: CatalogSetPayload, how: Writing, releases: Sequence[str] = ()) -> None:
    """Show, ask, write and wait for the marker; says so when there is nothing to change. Raises M0Error."""
    found, standing = desk.plan(payload, releases), desk.log.standing(payload.catalog)
    if found.changes:
        if how.ask:
            print(plan_text(found))
            typer.confirm("Write it?", abort=True)
        await desk.put(payload, how.key, releases)
    elif standing.newest is not None:
        payload = standing.newest
    if how.timeout_s:
        await desk.log.wait_in_force(payload, how.timeout_s)
    if how.as_json:
        said = {"generation": payload.generation, "written": bool(found.changes), "in_force": bool(how.timeout_s)}
        print(json.dumps(plan_json(found) | said))
    elif found.changes:
        state = "in force" if how.timeout_s else "written"
        print(f"{payload.catalog}: generation {payload.generation} is {state}")
    else:
        print(f"{payload.catalog}: nothing to change, generation {payload.generation} is as described")


def _writing(key: Path | None, yes: bool, timeout_s: float, as_json: bool) -> Writing:
    """Refuses wrong use before anything is read."""
    if not yes and (as_json or not sys.stdin.isatty()):
        raise typer.BadParameter("nobody can be asked here: look at 'm0 catalog plan', then give --yes")
    return Writing(control_key(key), not yes, timeout_s, as_json)


def _certificates(files: Sequence[Path] | None) -> tuple[Certificate, ...]:
    with _wrong_use():
        return tuple(read_certificate(file) for file in files or ())


def _named(release: str | None) -> tuple[str, ...]:
    if release is None:
        return ()
    check_release(release)
    return (release,)


def control_key_file(path: Path | None) -> Path:
    """The control key's file: the one given, else an installed stack's. Wrong use when there is none."""
    from m0cli.stack_settings import told  # noqa: PLC0415 - reads the stack only when no key is given

    with _wrong_use():
        name = path or told().get("M0_CONTROL_KEY_FILE")
        if not name:
            raise SettingsError("no control key is named: give --key FILE or set M0_CONTROL_KEY_FILE")
        if not Path(name).exists():
            raise SettingsError(f"there is no control key {name}: give --key FILE or set M0_CONTROL_KEY_FILE")
        return Path(name)


def control_key(path: Path | None) -> Keypair:
    """The key in it. Wrong use when there is none."""
    file = control_key_file(path)
    with _wrong_use():
        return plain_key(file)


def _check_name(name: str, file: Path | None) -> None:
    from m0cli.stack_settings import config_dir  # noqa: PLC0415 - reads the deployment only when called

    with _wrong_use():
        known = catalog_files.names(config_dir())
        if file is None and name not in known:
            near = nearest(name, known)
            raise SettingsError(f"catalog {name} has no file in {config_dir() / 'markets'}{near}")


@contextmanager
def _wrong_use() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


async def read_desk(broker: Broker, settings: Settings) -> CatalogDesk:
    """The desk of a deployment, which has read the log. Raises SettingsError, Unavailable."""
    from m0common.clock import system_clock  # noqa: PLC0415
    from m0common.deployment import Deployment  # noqa: PLC0415
    from m0replay.installed import installed_domains  # noqa: PLC0415 - imports every domain

    from m0cli.stack_settings import config_dir  # noqa: PLC0415 - reads the deployment when called

    deployment, keys_dir = Deployment.of(settings), Path(settings.keys_dir)
    desk = CatalogDesk(broker, deployment, config_dir(), keys_dir, installed_domains(), system_clock(settings.env))
    await desk.log.read()
    return desk


def _run(work: Callable[[CatalogDesk], Awaitable[None]], as_json: bool) -> None:
    """Let `work` work at a desk that has read the log."""

    async def at_desk(broker: Broker, settings: Settings) -> None:
        await work(await read_desk(broker, settings))

    on_broker("catalog", at_desk, as_json)
