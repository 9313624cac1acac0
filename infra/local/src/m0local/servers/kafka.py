"""Apache Kafka in KRaft mode, one node on loopback, from a Java runtime and locked jars."""

import base64
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from m0common.errors import Unavailable
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.kafka_security import ANONYMOUS, Security

from m0local.errors import DiskFullError, StartError
from m0local.ports import LOOPBACK, is_open
from m0local.servers.jars import Progress, ensure_jars, read_lock
from m0local.servers.java import find_java
from m0local.servers.warm_start import cache_of

DATA_FILES = Path(__file__).parent.parent / "data"
JVM_FLAGS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)
KEEP_CLASSES = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching", "-XX:-AOTStubCaching")
"""Of a start classes are kept; of the JVM's own stubs Java 25 takes some for others, and warns."""
UTF8 = ("env", "LC_ALL=C.UTF-8")
"""Java reads names of files by the locale, whatever the user's is."""
READY_TIMEOUT_S = 3
QUIET = 0
"""Of librdkafka: it logs nothing."""


def property_value(text: str) -> str:
    """A value as java.util.Properties reads it back: backslashes doubled, all but ASCII as UTF-16 escapes."""
    units = text.replace("\\", "\\\\").encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)


class KafkaServer:
    """One broker which is its own controller, open to everybody; data, settings and log stay below `home`."""

    name = "kafka"
    listeners = "listeners.plain.tmpl"
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        home: Path,
        port: int,
        controller_port: int,
        *,
        jars: Path,
        progress: Progress | None = None,
    ) -> None:
        """Args: `jars` is the cache of the jars, `progress` hears of downloads."""
        self.home = home
        self.port = port
        self.controller_port = controller_port
        self.jars = jars
        self.progress = progress
        self.kept_start: Path | None = None
        """Where the next run shall leave what its start loaded; it takes some seconds to end then."""

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def properties(self) -> Path:
        return self.home / "server.properties"

    def prepare(self) -> None:
        """Fetch and verify the jars, write the settings, format the storage once."""
        self.home.mkdir(parents=True, exist_ok=True)
        ensure_jars(self.jars, progress=self.progress)
        if not self.formatted:
            self._format()
        _write_secret(self.properties, self.settings(self.data))

    def settings(self, data: Path) -> str:
        """The text of server.properties for storage at `data`."""
        text = "".join((DATA_FILES / name).read_text() for name in ("server.properties.tmpl", self.listeners))
        for key, value in {"DATA": str(data), **self.values()}.items():
            text = text.replace(f"@{key}@", property_value(value))
        return text

    def values(self) -> Mapping[str, str]:
        """What the templates leave open beside the place of the data."""
        return {"PORT": str(self.port), "CONTROLLER_PORT": str(self.controller_port)}

    def command(self) -> list[str]:
        keep = [*KEEP_CLASSES, f"-XX:AOTCacheOutput={self.kept_start}"] if self.kept_start else []
        return [*self._java(*keep), "kafka.Kafka", str(self.properties)]

    def start_cache(self) -> Path | None:
        """Where starts of this Kafka are kept; None for a Java that cannot. Raises MissingToolError."""
        return cache_of(find_java(), self.jars, JVM_FLAGS)

    def ready(self) -> bool:
        """A metadata request is answered with a live broker of *our* cluster id."""
        wanted = self.cluster_id()
        if not wanted or not is_open(self.port):
            return False
        from confluent_kafka import KafkaException  # noqa: PLC0415 - needed only to ask a server that is there
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415

        options = KafkaOptions(self.bootstrap, "m0-local", self.security())
        try:
            client = AdminClient({**options.for_librdkafka(), "log_level": QUIET})
            found = client.list_topics(timeout=READY_TIMEOUT_S)
        except (KafkaException, Unavailable):
            return False
        return found.cluster_id == wanted and bool(found.brokers)

    def security(self) -> Security:
        """Who may do everything."""
        return ANONYMOUS

    @property
    def formatted(self) -> bool:
        """Whether there is storage."""
        return (self.data / "meta.properties").exists()

    def cluster_id(self) -> str:
        """The id written when the storage was formatted, or an empty string before that."""
        try:
            lines = (self.data / "meta.properties").read_text().splitlines()
        except OSError:
            return ""
        return dict(line.split("=", 1) for line in lines if "=" in line).get("cluster.id", "")

    def _java(self, *options: str) -> list[str]:
        java = find_java()
        cache = cache_of(java, self.jars, JVM_FLAGS)
        if cache and cache.exists() and not options:
            options = (f"-XX:AOTCache={cache}",)
        # explicit and in the order of the lock: a stray jar in the cache is never on the class path
        class_path = ":".join(str(self.jars / jar.file_name) for jar in read_lock())
        return [
            *UTF8,
            java,
            *JVM_FLAGS,
            *options,
            f"-Dlog4j2.configurationFile={DATA_FILES / 'log4j2.properties'}",
            "-cp",
            class_path,
        ]

    def format_options(self) -> list[str]:
        """What the storage is formatted with beside its settings: a cluster's id, here a new one."""
        return ["-t", new_id()]

    def _format(self) -> None:
        # formatted aside and renamed, so that an interrupted run leaves nothing half done
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        _write_secret(self.properties, self.settings(fresh))
        # in a file, as everybody may read the command line of a process
        options = self.home / "format.options"
        _write_secret(options, "\n".join(self.format_options()))
        tool = [*self._java(), "kafka.tools.StorageTool", "format", f"@{options}", "-c", str(self.properties)]
        done = subprocess.run(tool, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        options.unlink()
        if done.returncode:
            text = (done.stdout + done.stderr).strip()
            if "No space left" in text:
                raise DiskFullError(f"The disk of {self.home} is full: free some space, then run again.")
            raise StartError(f"Kafka could not format its storage in {fresh}: {text.splitlines()[-1] if text else ''}")
        shutil.rmtree(self.data, ignore_errors=True)
        fresh.rename(self.data)


def new_id() -> str:
    """An id as Kafka makes them for clusters and for folders of storage."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")


def _write_secret(file: Path, text: str) -> None:
    """A file for its owner alone."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as handle:
        handle.write(text)
