"""A stack of its own for end-to-end tests: other ports, other data, the same `m0` command as everybody uses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from m0common.rights import OPERATOR
from m0common.stream.kafka_options import KafkaOptions
from m0local import settings
from m0local.control import Supervisor
from m0local.kafka_users import credentials
from m0local.testing import free_offset, kafka_of

ROOT = Path(__file__).resolve().parents[2]
M0 = Path(sys.executable).with_name("m0")
CATALOGS = ("crypto", "sports")
T = TypeVar("T")


class Stack:
    """Drives one stack through `m0`; every wait has a limit and says what it waited for."""

    def __init__(self, home: Path, offset: int, told: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.is_new = not (home / "kafka").exists()
        self.offset = offset
        own = {"M0_HOME": str(home), "M0_PORT_OFFSET": str(offset), **(told or {})}
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith("M0_") or k in {"M0_JARS_DIR", "M0_RPC_URL", "M0_WS_URL"}
        }
        self.env = kept | own | {"M0_JARS_DIR": os.environ.get("M0_JARS_DIR", str(ROOT / ".m0/cache/jars"))}
        self.api = f"http://127.0.0.1:{8080 + offset}"
        self.rpc = self.env.get("M0_RPC_URL", f"http://127.0.0.1:{8899 + offset}")

    @property
    def kafka(self) -> KafkaOptions:
        """How the operator reaches its Kafka."""
        return self.kafka_of(OPERATOR)

    def kafka_of(self, user: str) -> KafkaOptions:
        """How one of its users does."""
        return kafka_of(self.env, user, f"e2e-{user}")

    def credentials(self, user: str) -> dict[str, str]:
        """The variables by which a process is that user."""
        return credentials(settings.load(self.env), user)

    def m0(
        self, *args: str, check: bool = True, timeout: float = 300, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command; `env` is added to the stack's own."""
        environ = self.env | dict(env or {})
        done = subprocess.run(
            [M0, *args], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"m0 {' '.join(args)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def get(self, path: str, port: int | None = None) -> Any:
        """What the API answers, or another one at a port."""
        api = self.api if port is None else f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(api + path, timeout=10) as response:
            return json.load(response)

    def status(self) -> dict[str, dict[str, Any]]:
        return {s["name"]: s for s in json.loads(self.m0("status", "--json", check=False).stdout)["services"]}

    def restarted(self, name: str, pid: int) -> dict[str, Any] | None:
        """The process that took the place of `pid`, None while there is none."""
        found = self.status()[name]
        return found if found["pid"] not in (None, pid) else None

    def running(self, name: str) -> dict[str, Any] | None:
        """The process, None while it does not run."""
        found = self.status()[name]
        return found if found["pid"] is not None else None

    def kill(self, name: str) -> None:
        """Kill -9 a process and wait until another has taken its place."""
        before = self.wait(f"{name} to run", partial(self.running, name), 60)
        os.kill(before["pid"], signal.SIGKILL)
        self.wait(f"{name} to come back", partial(self.restarted, name, before["pid"]), 30)

    def stop(self, *names: str) -> None:
        """Stop processes; the others go on."""
        self._supervisor().stop_processes(names)

    def start(self, *names: str) -> None:
        """Start processes that are stopped."""
        supervisor = self._supervisor()
        for name in names:
            supervisor.start_process(name)

    def _supervisor(self) -> Supervisor:
        return Supervisor(settings.load(self.env))

    def all_ready(self, timeout: float = 120) -> None:
        """Wait until every process is ready."""
        self.wait("everything to be ready", lambda: all(s["ready"] for s in self.status().values()), timeout)

    def report(self, name: str) -> str:
        """What a service says at /ready, whatever its code."""
        return report_at(settings.PORTS[name] + self.offset)

    def newest_final(self, catalog: str) -> int:
        """The newest final epoch, -1 while there is none."""
        return next((epoch["epoch_id"] for epoch in self.finalized(catalog, 1)), -1)

    def goes_on(self, catalogs: Iterable[str] = CATALOGS, epochs: int = 2, timeout: float = 180) -> dict[str, int]:
        """Wait until so many more epochs of each catalog are final; returns the newest by catalog."""
        since = {catalog: self.newest_final(catalog) for catalog in catalogs}

        def grown() -> dict[str, int] | None:
            now = {catalog: self.newest_final(catalog) for catalog in since}
            return now if all(now[catalog] >= since[catalog] + epochs for catalog in since) else None

        return self.wait(f"{epochs} more final epochs of {', '.join(since)} behind {since}", grown, timeout)

    def replays(self, catalog: str, epoch_id: int, *options: str, env: Mapping[str, str] | None = None) -> None:
        """Fails unless the epoch's root comes out of the log again."""
        done = self.m0("replay", catalog, str(epoch_id), "--json", *options, env=env, check=False)
        assert done.returncode == 0, f"replay of {catalog} {epoch_id}: {done.stdout}{done.stderr}"
        assert json.loads(done.stdout)["match"]

    def finalized(self, catalog: str, limit: int = 50) -> list[dict[str, Any]]:
        return self.get(f"/v1/epochs?catalog={catalog}&status=finalized&limit={limit}")["items"]

    def finals(self, limit: int = 500) -> dict[str, list[dict[str, Any]]]:
        """The newest final epochs of each catalog."""
        return {catalog: self.finalized(catalog, limit) for catalog in CATALOGS}

    def wait(self, what: str, check: Callable[[], T | None], timeout: float) -> T:
        """Poll until `check` returns something true; errors on the way only count when time is up."""
        end, last = time.monotonic() + timeout, None
        while time.monotonic() < end:
            try:
                if found := check():
                    return found
                last = None
            except (OSError, ValueError, KeyError) as error:
                last = error
            time.sleep(0.5)
        raise AssertionError(f"{what}: not within {timeout:.0f} s ({last})\n{self.tails()}")

    def tails(self) -> str:
        """The end of every log, for a failure's report."""
        out = []
        for path in sorted((self.home / "logs").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-4:]
            out.append(f"== {path.name}\n" + "\n".join(line[:400] for line in lines))
        return "\n".join(out)


def report_at(port: int, timeout: float = 10) -> str:
    """What a process says at /ready, whatever its code."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=timeout) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


@contextmanager
def at_home() -> Iterator[Path]:
    """A folder for a stack's data: M0_E2E_HOME, which is kept, else one that is removed afterwards.

    Not below the test runner's, which another of its runs closes to others than its owner: embedded Postgres runs as
    nobody when the tests run as root, and must be able to reach its folder.
    """
    kept = os.environ.get("M0_E2E_HOME")
    home = Path(kept or tempfile.mkdtemp(prefix="m0-"))
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(home.stat().st_mode | 0o011)
    try:
        yield home
    finally:
        if kept is None:
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def running(home: Path, told: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """A stack with data in `home`."""
    made = Stack(home, free_offset(), told)
    try:
        made.m0("up")
        yield made
    finally:
        made.m0("down", check=False)
