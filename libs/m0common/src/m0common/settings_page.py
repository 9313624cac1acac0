"""docs/operations/settings.md, made from the settings themselves: `python -m m0common.settings_page` prints it."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from m0common.addresses import PLACEHOLDER
from m0common.secret import Secret, SecretKey
from m0common.section import FILE, Section, is_secret
from m0common.settings import Catalog, Settings, variables

UNITS = {
    "ms": "milliseconds",
    "bytes": "bytes",
    "microlamports": "millionths of a lamport",
    "share": "share of 1",
}
"""Ends of names and what they say."""

HEAD = f"""\
# Settings

Made from `m0common.settings` by `python -m m0common.settings_page`; a test keeps the two alike.

A service reads one TOML file, named by `M0_CONFIG_PATH`, and the environment, which wins over it. Nothing else is
needed to start one: `python -m m0_indexer` runs from an empty folder. `config/dev.toml` is the local stack's file,
`config/staging.toml` and `config/prod.toml` are to be filled in. `m0 config show` prints what a command is told and
what decided it; the local stack tells each service its own name, port and Kafka user besides. A key of the file that is
not below is refused, as is a variable that resembles one of these.

`m0 config validate FILE…` checks settings files and the files of their catalogs, and names every fault with file, key,
value and remedy; it asks neither the environment nor a server. `m0 config diff A B` compares two files, defaults
included, or a file with what the API of a running deployment publishes at `/v1/info` (cluster, public addresses,
programs; no service says more of its settings). Exit codes are 0 and, for faults or differences, 1. No secret is shown.
[config.schema.json](../config.schema.json), which the first line of each file names, is for editors.

**Secrets** are marked. Each has a twin whose name ends in `_FILE` (`{FILE}` in the file), which names a file with the
secret in its first line. That file is read again at each connect (Postgres), request (Solana) or opening of a
client ([Kafka](kafka.md#settings)), so that a secret is rotated by replacing the file; the passphrase alone is read
once, when the signer opens its key. Both are refused.
`M0_CONTROL_KEY_FILE` is no twin: it names the key file that `m0 catalog` and `m0 lane` sign with, never a service.
No secret is printed, logged or served: of a node's address scheme, host and port are shown, of a database's all but
passwords, of others nothing.

**At the start** a service checks what it uses: a value that begins with `{PLACEHOLDER}` is refused by name, a secret's
file has to be there, and outside dev a key has at least {SecretKey.BYTES_MIN} bytes.

**Addresses** that services use (`solana.rpc_url`) never leave a process: `/v1/info` names `solana.public_rpc_url` and
`solana.public_ws_url`, null when they are empty.

Variables of the local stack and of tests (`M0_PORT_OFFSET`, `M0_UP_ONLY`, …) are in the [README](../../README.md).
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, *(_table(title, place, model) for title, place, model in _sections())]
    return "\n".join(parts)


def _sections() -> Iterator[tuple[str, tuple[str, ...], type[Section]]]:
    yield "Top of the file", (), Settings
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield f"`[{name}]`", (name,), field.annotation
    yield "`[catalogs.NAME]`", ("catalogs", "NAME"), Catalog


def _table(title: str, place: tuple[str, ...], model: type[Section]) -> str:
    rows = [
        _row((*place, name), field)
        for name, field in model.model_fields.items()
        if not isinstance(field.annotation, type) or not issubclass(field.annotation, Section | dict)
        if get_origin(field.annotation) is not dict
    ]
    return "\n".join(
        [f"## {title}", "", "| setting | variable | unit | default | meaning |", "|---|---|---|---|---|", *rows, ""]
    )


def _row(place: tuple[str, ...], field: FieldInfo) -> str:
    known = {spot: name for name, spot in variables().items()}
    names = [known[spot] for spot in (place, (*place[:-1], place[-1] + FILE)) if spot in known]
    cells = (
        f"`{place[-1]}`",
        ", ".join(f"`{name}`" for name in names),
        _unit(place[-1], field),
        _default(field),
        ("**Secret.** " if is_secret(field.annotation) else "") + (field.description or ""),
    )
    return f"| {' | '.join(cells)} |"


def _unit(name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(field.annotation))
    return UNITS.get(name.rsplit("_", 1)[-1], "") if field.annotation in {int, float} else ""


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    text = "" if value == () or (isinstance(value, Secret) and not value) else str(value)
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    print(page(), end="")
