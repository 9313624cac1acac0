"""A service as a process in an empty folder, with variables and one settings file alone; every secret is a marker."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
from m0chain.keyfile import write_plain_key
from m0chain.keystore import create_key_file
from m0common.settings import FILE, variables
from solders.keypair import Keypair
from solders.pubkey import Pubkey

SERVICES = (
    "ingest",
    "normalize",
    "feature",
    "model",
    "bundle",
    "signer",
    "indexer",
    "api",
    "realtime",
    "jobs",
    "warden",
)
WAIT_S = 60.0
MARK = "marker-of-a-secret"
SECRETS = tuple(
    sorted(name.removesuffix(FILE.upper()) for name in variables() if f"{name}{FILE.upper()}" in variables())
)
"""The variable of every secret setting."""


def marked(node: str) -> dict[str, str]:
    """A value for each secret that holds the marker; `node` is host:port of what takes the place of a Solana node."""
    known = {
        "M0_PG_DSN": f"postgresql://m0:{MARK}-pg@127.0.0.1:1/m0?connect_timeout=2",
        "M0_REDIS_URL": f"redis://:{MARK}-redis@127.0.0.1:1/0",
        "M0_RPC_URL": f"http://{node}/v2/{MARK}-rpc-path?api-key={MARK}-rpc-query",
        "M0_OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{node}/{MARK}-otlp-path",
        "M0_WS_URL": f"ws://{node}/v2/{MARK}-ws-path?api-key={MARK}-ws-query",
    }
    return {name: known.get(name, f"{MARK}-{name.lower()}-of-32-bytes-at-least") for name in SECRETS}


@dataclass(frozen=True, slots=True)
class Folder:
    """An empty folder, and beside it what a deployment mounts."""

    cwd: Path
    mounted: Path

    def environment(self, config: Path, **more: str) -> dict[str, str]:
        """The variables of a service that reads `config`; nothing of this process's own `M0_*` is handed on."""
        told = {name: value for name, value in os.environ.items() if not name.startswith("M0_")}
        return told | {"M0_CONFIG_PATH": str(config)} | more

    def settings_file(self) -> Path:
        """The one file, as small as it may be."""
        file = self.mounted / "m0.toml"
        file.write_text('[kafka]\nbootstrap = "127.0.0.1:1"\npartitions = 4\n\n[catalogs.sports]\nlateness_ms = 1000\n')
        return file

    def identity(self) -> dict[str, str]:
        """What makes a deployment this one."""
        oracle, registry = (str(Pubkey(bytes(range(first, first + 32)))) for first in (0, 1))
        return {
            "M0_GENESIS_HASH": "ab" * 32, "M0_CONTROL_KEY": "cd" * 32, "M0_HOME": str(self.mounted / "home"),
            "M0_ORACLE_PROGRAM_ID": oracle, "M0_REGISTRY_PROGRAM_ID": registry,
            "M0_PUBLIC_RPC_URL": "https://public.example", "M0_KEYS_DIR": str(self.mounted / "keys"),
            "M0_CONTROL_KEY_FILE": str(self.mounted / "keys" / "control.json"),
        }  # fmt: skip

    def make_keys(self, passphrase: str) -> None:
        """Key files of every service."""
        folder = self.mounted / "keys"
        folder.mkdir()
        for name in ("clock", "registry", "registrar", "resolver"):
            write_plain_key(folder / f"{name}.json", Keypair())
        create_key_file(folder / "signer-1.json", passphrase)


def ended(service: str, folder: Folder, env: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and everything said of a service that refuses to start."""
    done = subprocess.run(
        [sys.executable, "-m", f"m0_{service}"], cwd=folder.cwd, env=dict(env), capture_output=True, text=True,
        timeout=WAIT_S, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def running(service: str, folder: Folder, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A service whose output goes to `mounted/log`; ended with the block."""
    with (folder.mounted / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"m0_{service}"], cwd=folder.cwd, env=dict(env), stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answered(url: str, process: subprocess.Popen[bytes]) -> httpx2.Response:
    """The first answer at `url`, whatever its status; fails when the process ends before."""
    deadline = time.monotonic() + WAIT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(url, timeout=WAIT_S)
        time.sleep(0.05)
    raise AssertionError(f"nothing answers at {url}; exit code {process.poll()}")
