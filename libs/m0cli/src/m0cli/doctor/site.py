"""What the boxes look at: the deployment that options, environment, a stack on this machine and a settings file name.

Each may be all there is: with `M0_API_BASE` and `M0_RPC_URL` alone the boxes that need more say so.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from m0common.addresses import HTTP, PLACEHOLDER, url_fault
from m0common.errors import SettingsError
from m0common.secret import SecretUrl
from m0common.section import FILE
from m0common.settings import ENVIRONMENT, Settings, load, read_file, settings_path, twin

from m0cli.stack_settings import overridden
from m0cli.targets import reached

METRICS_URLS = "M0_METRICS_URLS"
NO_FILE = Path(os.devnull)
"""Settings of variables alone."""


@dataclass(frozen=True, slots=True)
class Site:
    """`rpc`, `oracle` and `registry` None: whatever the API names. `kafka`: there is one to ask. `metrics` are the
    addresses of processes. For `wait_s` seconds it is watched for rounds that are not there yet.
    """

    api: str
    settings: Settings
    rpc: SecretUrl | None
    oracle: str | None
    registry: str | None
    genesis_hash: str | None
    kafka: bool
    metrics: tuple[str, ...] = ()
    wait_s: float = 0.0


def site_of(api: str | None, rpc: str | None, program: str | None, wait_s: float) -> Site:
    """The site of options and this process's environment. Raises SettingsError."""
    named, stack = reached(api)
    options = {"M0_RPC_URL": rpc, "M0_ORACLE_PROGRAM_ID": program}
    given = {name: value for name, value in options.items() if value}
    own = overridden(dict(os.environ), given)
    environ = overridden(stack, own) | {"M0_API_BASE": named}
    # the file that lies in this folder by chance says nothing of a deployment that is named by address
    file = settings_path(environ) if stack or {"M0_CONFIG_PATH", "M0_ENV"} & environ.keys() else NO_FILE
    settings, written = load(environ, file), read_file(file)

    def said(variable: str) -> bool:
        return _is_said(variable, environ, written)

    identity = settings.deployment
    return Site(
        api=named,
        settings=settings,
        rpc=settings.solana.rpc_url if said("M0_RPC_URL") else None,
        oracle=_filled(identity.oracle_program_id),
        registry=_filled(identity.registry_program_id),
        genesis_hash=_filled(identity.genesis_hash),
        kafka=said("M0_KAFKA_BOOTSTRAP"),
        metrics=_addresses(environ.get(METRICS_URLS, "")),
        wait_s=wait_s,
    )


def _is_said(variable: str, environ: Mapping[str, str], written: Mapping[str, Any]) -> bool:
    """Whether a variable, its twin, or the settings file gives this; a default, and a placeholder, do not."""
    table, key = ENVIRONMENT[variable]
    names = (variable, twin(variable) or variable)
    values = [*(environ.get(name) for name in names), *(written.get(table, {}).get(at) for at in (key, key + FILE))]
    return any(value and not str(value).startswith(PLACEHOLDER) for value in values)


def _filled(value: str) -> str | None:
    return None if not value or value.startswith(PLACEHOLDER) else value


def _addresses(text: str) -> tuple[str, ...]:
    """Where each process says its metrics. Raises SettingsError."""
    found = []
    for address in filter(None, map(str.strip, text.split(","))):
        if (fault := url_fault(HTTP, address)) is not None:
            raise SettingsError(f"{METRICS_URLS}: {address!r}: {fault}, for each process, with commas between")
        found.append(address.rstrip("/") + ("/metrics" if urlsplit(address).path in ("", "/") else ""))
    return tuple(found)
