"""Real servers for tests: each on free ports, in a directory of the test's own, gone when the block ends.

    with kafka_server(tmp_path) as kafka:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        kafka.kill()      # kill -9
        kafka.start()     # same data, same port

Tests that do a server no harm share one with the rest of the run (m0local.shared).

Jars are downloaded once into the cache of the repository ($M0_JARS_DIR, else `.m0/cache/jars`).
"""

import asyncio
import contextlib
import fcntl
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

import psycopg
from m0common import settings as service_settings
from m0common.pulse import Pulse
from m0common.stream.broker import APPEND_TIME, Broker
from m0common.stream.follow import read_to_end
from m0common.stream.kafka import KafkaBroker
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.records import Produce, Record
from m0common.tasks import end_task
from m0common.topics import BY_NAME, Topic
from m0index import migrations
from m0kafka.apply import apply
from m0kafka.confluent import ConfluentCluster
from m0kafka.plan import plan
from m0kafka.wanted import Wanted

from m0local.environment import command_environment
from m0local.errors import StartError
from m0local.kafka_users import credentials
from m0local.ports import LOOPBACK, free_port, is_free
from m0local.readiness import rpc_ready
from m0local.servers import KafkaServer, PostgresServer, Server, ValkeyServer
from m0local.servers.kafka import new_id
from m0local.settings import PORTS, jars_dir, load

OFFSETS = range(11_000, 14_000, 20)
"""Where stacks of tests stand."""
SETTLED_S = 2.0
"""What a broker does in its first moments belongs to its start."""

S = TypeVar("S", bound=Server)
P = TypeVar("P", bound=Pulse)


class Running(Generic[S]):
    """A server process of a test; attributes of the server (`port`, `bootstrap`, `dsn`, `url`) are on `server`."""

    def __init__(self, server: S) -> None:
        self.server = server
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self.process is None:
            raise StartError(f"{self.server.name} of this test is not running: call start() first.")
        return self.process.pid

    @property
    def log(self) -> Path:
        return self.server.home / f"{self.server.name}.out"

    def start(self, timeout_s: float = 60) -> None:
        """Start the server on its data and return when it is ready. Raises StartError with the end of its log."""
        self.server.prepare()
        deadline = time.monotonic() + timeout_s
        while True:
            with self.log.open("ab") as out:
                self.process = subprocess.Popen(
                    self.server.command(),
                    stdout=out,
                    stderr=out,
                    stdin=subprocess.DEVNULL,
                    cwd=self.server.home,
                    start_new_session=True,
                )
            while self.process.poll() is None and time.monotonic() < deadline:
                if self.server.ready():
                    return
                time.sleep(0.05)
            if time.monotonic() > deadline:
                self.stop()
                tail = self.log.read_text(errors="replace")[-2000:]
                raise StartError(f"{self.server.name} was not ready after {timeout_s:.0f} s; its log ends:\n{tail}")
            time.sleep(0.5)  # as a supervisor would: the remains of a killed server may take a moment to go

    def stop(self, timeout_s: float = 20) -> None:
        """Ask the server to stop, and kill it when it does not."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.server.stop_signal)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process = None

    def kill(self) -> None:
        """Kill -9, with no chance to flush anything."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the server and its children with SIGSTOP for the length of the block: it hangs, its connections stay."""
        with frozen(self.pid):
            yield


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process and all that descend from it with SIGSTOP for the length of the block."""
    pids = _family(pid)
    for each in pids:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)


def _family(pid: int) -> list[int]:
    """A process and all that descend from it, the eldest first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]


class RunningKafka(Running[KafkaServer]):
    """Apache Kafka for a test."""

    def start(self, timeout_s: float = 60) -> None:
        """See Running."""
        cache = self.server.start_cache()
        if cache is not None and self.server.kept_start is None and not cache.exists():
            keep_start(cache)
        # one with users has them in its storage
        if cache is not None and type(self.server) is KafkaServer and not self.server.formatted:
            take_storage(self.server, storage_of(cache))
        super().start(timeout_s)

    @property
    def bootstrap(self) -> str:
        return self.server.bootstrap


class RunningPostgres(Running[PostgresServer]):
    """Postgres for a test: database and user are called `m0`."""

    @property
    def dsn(self) -> str:
        return self.server.dsn

    def fresh(self) -> str:
        """The address of an empty database beside `m0`; the one that was made so before is gone."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS fresh WITH (FORCE)")
            connection.execute("CREATE DATABASE fresh")
        return self.server.dsn_of("fresh")


class RunningValkey(Running[ValkeyServer]):
    """Valkey for a test."""

    @property
    def url(self) -> str:
        return self.server.url


class TestBroker(KafkaBroker):
    """Kafka with topics that a test or a benchmark makes, as `m0 topics apply` does."""

    __test__ = False

    def __init__(self, options: KafkaOptions, append_time: Collection[str] = APPEND_TIME) -> None:
        self._made: dict[str, Topic] = dict(BY_NAME)
        super().__init__(options, append_time, self._made)

    async def create_topics(self, topics: Sequence[Topic], partitions: int) -> None:
        """Create what is missing and set the settings of what exists. Raises SettingsError for another count."""
        await asyncio.to_thread(make_topics, self.options, topics, partitions)
        self._made.update({topic.name: topic for topic in topics})


def make_topics(options: KafkaOptions, topics: Sequence[Topic], partitions: int) -> None:
    """`m0 topics apply` for these topics. What a test tries is not how soon a busy machine makes them."""
    cluster = ConfluentCluster(replace(options, request_timeout_ms=60_000))
    apply(cluster, plan(Wanted(topics, partitions), cluster), {}, lambda _: None)


@contextlib.asynccontextmanager
async def broker_of(options: KafkaOptions) -> AsyncIterator[KafkaBroker]:
    """Kafka, for the length of the block."""
    broker = KafkaBroker(options)
    try:
        yield broker
    finally:
        await broker.close()


@contextlib.asynccontextmanager
async def taken(opened: contextlib.AbstractAsyncContextManager[P]) -> AsyncIterator[P]:
    """A pulse that is taken for the length of the block."""
    async with opened as pulse:
        task = asyncio.create_task(pulse.run())
        try:
            yield pulse
        finally:
            await end_task(task)


async def write(broker: Broker, messages: Sequence[Produce]) -> None:
    """Write messages by a producer of their own. Raises Unavailable."""
    producer = broker.producer()
    await producer.start()
    try:
        await producer.send(messages)
    finally:
        await producer.stop()


async def read(broker: Broker, topic: str) -> list[Record]:
    """All that a topic holds now. Raises Unavailable."""
    return [record async for batch in read_to_end(broker, topic) for record in batch]


def kafka_of(env: Mapping[str, str], user: str, client: str) -> KafkaOptions:
    """How a user reaches the Kafka of the stack whose environment this is."""
    told = {**env, **command_environment(env), **credentials(load(env), user)}
    return KafkaOptions.of(service_settings.load(told).kafka, client)


R = TypeVar("R", RunningKafka, RunningPostgres, RunningValkey)


@contextlib.contextmanager
def _running(handle: R) -> Iterator[R]:
    try:
        handle.start()
        yield handle
    finally:
        handle.stop()


@contextlib.contextmanager
def kafka_server(directory: Path) -> Iterator[RunningKafka]:
    """Apache Kafka below `directory`, ready to use; no topic exists in it."""
    with _running(RunningKafka(fresh_kafka(directory, jars_dir(os.environ)))) as handle:
        yield handle


def fresh_kafka(directory: Path, jars: Path) -> KafkaServer:
    """A broker below `directory` on free ports, not started."""
    port = free_port(count=2)
    return KafkaServer(directory, port, port + 1, jars=jars)


def storage_of(cache: Path) -> Path:
    """Storage as Kafka's tool formats it, which costs a second of a JVM each time, beside a kept start."""
    return cache.with_suffix(".storage")


def take_storage(server: KafkaServer, kept: Path) -> None:
    """Give a broker that is open to everybody the storage in `kept`, under ids of its own; where there is none, format
    it and keep it for others.
    """
    if not kept.exists():
        server.prepare()
        with tempfile.TemporaryDirectory(dir=kept.parent) as aside, contextlib.suppress(OSError):
            # it fails where another process was first
            shutil.copytree(server.data, Path(aside) / "data").rename(kept)
        return
    shutil.copytree(kept, server.data)
    meta = server.data / "meta.properties"
    text = meta.read_text()
    for key in "cluster", "directory":
        text = re.sub(rf"(?m)^{key}\.id=.*$", f"{key}.id={new_id()}", text)
    meta.write_text(text)


def keep_start(cache: Path) -> None:
    """Run a broker for what its start leaves in `cache`, beside the jars; when another process does, there is no
    waiting.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    with cache.with_suffix(".lock").open("w") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if cache.exists():
            return
        with tempfile.TemporaryDirectory(prefix="m0-start-") as home:
            server = fresh_kafka(Path(home) / "kafka", cache.parent)
            server.kept_start = cache.with_suffix(".new")
            with _running(RunningKafka(server)) as broker:
                time.sleep(SETTLED_S)
                broker.stop(timeout_s=120)
            server.kept_start.rename(cache)


@contextlib.contextmanager
def postgres_server(directory: Path) -> Iterator[RunningPostgres]:
    """Postgres 18 below `directory` with the empty database `m0`."""
    with _running(RunningPostgres(PostgresServer(directory, free_port()))) as handle:
        yield handle


@contextlib.contextmanager
def index_server(directory: Path) -> Iterator[RunningPostgres]:
    """Postgres below `directory` whose database `m0` is an index with nothing in it."""
    with postgres_server(directory) as handle:
        migrations.upgrade(handle.dsn)
        yield handle


@contextlib.contextmanager
def chain_node(directory: Path, slot_ms: int = 100) -> Iterator[str]:
    """A Solana chain of its own with nothing on it, below `directory`; the address of its JSON-RPC."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [
        sys.executable, "-m", "m0localnet", "--rpc-port", str(port), "--ws-port", str(free_port()),
        "--ledger", str(directory / "ledger"), "--slot-ms", str(slot_ms),
    ]  # fmt: skip
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + 60
            while not rpc_ready(process.pid, port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise StartError(f"The chain did not start; its log says:\n{(directory / 'log').read_text()}")
                time.sleep(0.05)
            yield f"http://{LOOPBACK}:{port}"
        finally:
            process.terminate()


def empty_index(dsn: str) -> None:
    """Take everything out of an index; its schema stays."""
    with psycopg.connect(dsn) as connection:
        connection.execute("""
            DO $$ BEGIN
                EXECUTE (
                    SELECT 'TRUNCATE ' || string_agg(tablename, ',') || ' RESTART IDENTITY CASCADE' FROM pg_tables
                    WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'schema_terms')
                );
            END $$
        """)


@contextlib.contextmanager
def valkey_server(directory: Path) -> Iterator[RunningValkey]:
    """Valkey below `directory`, empty."""
    with _running(RunningValkey(ValkeyServer(directory, free_port()))) as handle:
        yield handle


def free_offset() -> int:
    """Where a stack of a test's own may stand: an offset at which all its ports are free. Raises OSError."""
    for offset in random.sample(OFFSETS, len(OFFSETS)):
        if all(is_free(port + offset) for port in PORTS.values()):
            return offset
    raise OSError(f"no offset in {OFFSETS} at which all ports of a stack are free")
