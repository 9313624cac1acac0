"""`m0 control-key`: the key that signs what changes a catalog, and its word for the key that comes after it."""

import json
import re
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from m0common.chain.keyfile import plain_key
from m0common.errors import M0Error, SettingsError
from m0lanes.control import Certificate
from m0replay.control_keys import certify
from m0replay.keys import public_key

app = typer.Typer(no_args_is_help=True, help="The control key: hand it on to a new one.")

_HEX32 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@app.callback()
def control_key() -> None:
    """The control key: hand it on to a new one."""


@app.command(name="certify")
def certify_key(
    old: Annotated[Path, typer.Option(help="The file of the key in force.")],
    new: Annotated[str, typer.Option(help="The new key: its file, or its public key as 64 hex digits.")],
    out: Annotated[Path | None, typer.Option(help="Write the certificate into this file.")] = None,
    genesis: Annotated[
        str | None,
        typer.Option(
            help="Genesis hash of the deployment's chain, 64 hex digits; the local stack's when not given.",
            envvar="M0_GENESIS_HASH",
            show_envvar=True,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """The old key's certificate for the new one, for `m0 catalog set --certificate`. Needs no network."""
    try:
        made = certify(plain_key(old), _public(new), _genesis(genesis))
        text = json.dumps(msgspec.to_builtins(made))
        if out is not None:
            _write(out, text)
    except M0Error as error:
        raise typer.BadParameter(str(error)) from None
    print(text if as_json or out is None else _next_step(made, out))


def _public(new: str) -> bytes:
    return bytes.fromhex(new) if _HEX32.fullmatch(new) else public_key(Path(new))


def _genesis(given: str | None) -> bytes:
    from m0cli.stack_settings import told  # noqa: PLC0415 - reads the local stack only when no chain is named

    if given is None:
        given = told().get("M0_GENESIS_HASH")
        if given is None:
            raise SettingsError("no chain is named: give its genesis hash with --genesis or M0_GENESIS_HASH")
    if not _HEX32.fullmatch(given):
        raise SettingsError(f"genesis hash {given!r}: give 64 hex digits, as 'm0 config show' prints them")
    return bytes.fromhex(given)


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text + "\n")
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error}") from error


def _next_step(made: Certificate, out: Path) -> str:
    return (
        f"{out}: control key {made.old} certifies {made.new}. Next, for every catalog: "
        f"m0 catalog set CATALOG --certificate {out} --key FILE-OF-THE-NEW-KEY"
    )
