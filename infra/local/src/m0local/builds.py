"""Which processes run older code than is installed: the build of domains that each was started with, in one file."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from m0lanes.domains import load_domains
from m0lanes.release import build_of

from m0local.processes import SIGNER_DEPTHS

WITH_DOMAINS = ("ingest", "normalize", "feature", "model", "bundle", *SIGNER_DEPTHS)
"""The services that hold domains."""


def installed() -> str:
    """The build of what is installed, in hex. Raises m0common's SettingsError when a domain cannot be imported."""
    return build_of(load_domains()).hex()


def older(file: Path, running: Collection[str], build: str) -> list[str]:
    """Those of the running services that were started with another build than this, or nobody knows with which."""
    known = _read(file)
    return [name for name in WITH_DOMAINS if name in running and known.get(name) != build]


def note(file: Path, started: Collection[str], build: str) -> None:
    """Note that these services start with this build now."""
    file.write_text(json.dumps({**_read(file), **{name: build for name in WITH_DOMAINS if name in started}}, indent=2))


def _read(file: Path) -> Mapping[str, str]:
    try:
        return dict(json.loads(file.read_text()))
    except (FileNotFoundError, ValueError):
        return {}
