"""`m0 control-key`: the key that signs what changes a catalog, and its word for the key that comes after it."""

import json
import re
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from m0chain.keyfile import plain_key, write_plain_key
from m0common.errors import M0Error, SettingsError
from m0lanes.control import Certificate
from m0replay.control_keys import certify
from solders.keypair import Keypair

app = typer.Typer(no_args_is_help=True, help="The control key: make one, hand it on to a new one.")

_HEX32 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@app.callback()
def control_key() -> None:
    """The control key: make one, hand it on to a new one."""


@app.command(name="new")
def new_key(
    out: Annotated[Path, typer.Option(help="Write the key into this file, which must not exist.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """A new key in the format of the Solana tools, a JSON list of 64 numbers that its owner alone may read."""
    key = Keypair()
    try:
        write_plain_key(out, key)
    except M0Error as error:
        raise typer.BadParameter(str(error)) from None
    public = bytes(key.pubkey()).hex()
    print(json.dumps({"file": str(out), "public_key": public}) if as_json else f"{out}: public key {public}")


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
    if _HEX32.fullmatch(new):
        return bytes.fromhex(new)
    path = Path(new)
    if not path.exists():
        raise SettingsError(f"--new {new}: no such file, and not 64 hex digits; 'm0 control-key new' makes a key")
    return bytes(plain_key(path).pubkey())


def _genesis(given: str | None) -> bytes:
    from m0cli.stack_settings import recorded, told  # noqa: PLC0415 - reads the stack only when no chain is named

    if given is None:
        given = told().get("M0_GENESIS_HASH") or recorded(told()).get("genesis_hash")
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
