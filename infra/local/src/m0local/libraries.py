"""The libraries that services share, imported once by the supervisor so that services can be forked with them.

Only what is installed and not of this repository is held here: a forked service imports our own code itself, as it is
on the disk at that moment, and has the metrics of its own modules and no others.
"""

import contextlib
import gc
import importlib
import os
import site
from collections.abc import Mapping, Sequence
from pathlib import Path

LIBRARIES: tuple[str, ...] = (
    "msgspec",
    "pydantic.json_schema",
    "pydantic.root_model",
    "rich.traceback",
    "structlog",
    "prometheus_client",
    "click",
    "uvicorn",
    "starlette.applications",
    "anyio",
    "uvloop",
    "aiokafka",
    "aiokafka.admin",
    "solders.pubkey",
    "solders.keypair",
    "solders.transaction",
    "httpx2",
    "websockets.asyncio.client",
    "websockets.asyncio.server",
    "solana.rpc.async_api",
    "solana.rpc.websocket_api",
    "stamina",
    "psycopg",
    "psycopg_pool",
    "argon2",
    "cryptography.hazmat.primitives.ciphers.aead",
    "fastapi",
    "apscheduler.schedulers.asyncio",
)
"""Modules in the order they are imported; none of them starts a thread. What more a service needs it imports itself."""

FIXED = ("PYTHON", "LD_", "MALLOC_")
"""How variables begin that count only when an interpreter starts."""


class Libraries:
    """Which libraries this process holds, and whether they are still what is installed."""

    def __init__(self, names: Sequence[str] = LIBRARIES, folders: Sequence[str] | None = None) -> None:
        """Args: `names` of modules to import, `folders` that packages are installed in."""
        self._names = names
        self._folders = site.getsitepackages() if folders is None else folders
        self._held = 0
        self._installed: frozenset[str] = frozenset()

    def hold_next(self) -> bool:
        """Import the next one; False when all are held. One that cannot be imported is left out: whoever needs
        it will say so.
        """
        if self._held == len(self._names):
            return False
        if not self._held:
            self._installed = self._found()
        with contextlib.suppress(Exception):  # whatever a broken one raises
            importlib.import_module(self._names[self._held])
        self._held += 1
        if self._held == len(self._names):
            # a fork shares pages until they are written: the collector must not write to what it cannot free
            gc.collect()
            gc.freeze()
        return True

    def fit(self, env: Mapping[str, str]) -> bool:
        """Whether a service with the environment `env` can begin with them: all are held, nothing was installed since,
        and an interpreter of its own would start like this one.
        """
        return self._held == len(self._names) and self._installed == self._found() and _fixed(env) == _fixed(os.environ)

    def _found(self) -> frozenset[str]:
        """What lies where packages are installed: another version of one has another name of its metadata's folder."""
        folders = [Path(folder) for folder in self._folders if Path(folder).is_dir()]
        return frozenset(entry.name for folder in folders for entry in folder.iterdir()) - {"__pycache__"}


def _fixed(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(FIXED)}
