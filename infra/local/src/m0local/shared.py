"""Servers that all processes of one run of tests share: whoever comes first starts one, `end_shared` ends them all.

Nobody stops, kills or freezes them: tests that do so have a server of their own (m0local.testing).
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from m0index import migrations

from m0local.ports import free_port
from m0local.servers import PostgresServer
from m0local.settings import jars_dir
from m0local.testing import RunningKafka, RunningPostgres, fresh_kafka

_INDEX = "kept_index"


@dataclass(frozen=True, slots=True)
class SharedKafka:
    """An Apache Kafka: each test keeps to topics and groups of its own."""

    bootstrap: str
    pid: int
    log: Path


@dataclass(frozen=True, slots=True)
class SharedPostgres:
    """A Postgres: each test has a database of its own."""

    server: PostgresServer
    pid: int

    def empty(self) -> str:
        """The address of a new database with nothing in it."""
        return self._made_of("template1")

    def index(self) -> str:
        """The address of a new database that is an index with nothing in it."""
        return self._made_of(_INDEX)

    def _made_of(self, template: str) -> str:
        name = f"m0_{secrets.token_hex(6)}"
        with psycopg.connect(self.server.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.server.dsn_of(name)


def shared_kafka(directory: Path) -> SharedKafka:
    """The broker of all processes that share `directory`."""

    def start() -> tuple[int, str, str]:
        broker = RunningKafka(fresh_kafka(directory / "kafka", jars_dir(os.environ)))
        broker.start()
        return broker.pid, broker.bootstrap, str(broker.log)

    pid, (bootstrap, log) = _shared(directory, "kafka", start)
    return SharedKafka(bootstrap, pid, Path(log))


def shared_postgres(directory: Path) -> SharedPostgres:
    """The Postgres of all processes that share `directory`."""
    home = directory / "postgres"

    def start() -> tuple[int, str]:
        running = RunningPostgres(PostgresServer(home, free_port()))
        running.start()
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {_INDEX}")
        migrations.upgrade(running.server.dsn_of(_INDEX))
        return running.pid, str(running.server.port)

    pid, (port,) = _shared(directory, "postgres", start)
    return SharedPostgres(PostgresServer(home, int(port)), pid)


def _shared(directory: Path, name: str, start: Callable[[], tuple[int, *tuple[str, ...]]]) -> tuple[int, Sequence[str]]:
    """The pid of a server and what else is to be known of it, once one process has started it."""
    note = directory / f"{name}.shared"
    with (directory / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            note.write_text(json.dumps(start()))
        pid, *told = json.loads(note.read_text())
    return pid, told


def end_shared(directory: Path) -> None:
    """End the servers of `directory` at once, whichever process has started them; their data is of no use any more."""
    for note in directory.glob("*.shared"):
        pid, *_ = json.loads(note.read_text())
        note.unlink()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            # what Postgres needs to end its own processes, and a JVM takes for a wish to see its threads
            os.kill(pid, signal.SIGQUIT if note.stem == "postgres" else signal.SIGKILL)
            os.waitpid(pid, 0)  # where it is a child of this process
