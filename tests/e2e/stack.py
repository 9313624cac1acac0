"""A stack of its own for end-to-end tests: other ports, other data, the same `m0` command as everybody uses."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
M0 = Path(sys.executable).with_name("m0")
T = TypeVar("T")


class Stack:
    """Drives one stack through `m0`; every wait has a limit and says what it waited for."""

    def __init__(self, home: Path, offset: int) -> None:
        self.home = home
        own = {"M0_HOME": str(home), "M0_PORT_OFFSET": str(offset)}
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith("M0_") or k in {"M0_JARS_DIR", "M0_RPC_URL", "M0_WS_URL"}
        }
        self.env = kept | own | {"M0_JARS_DIR": os.environ.get("M0_JARS_DIR", str(ROOT / ".m0/cache/jars"))}
        self.api = f"http://127.0.0.1:{8080 + offset}"
        self.kafka = f"127.0.0.1:{9092 + offset}"
        self.rpc = self.env.get("M0_RPC_URL", f"http://127.0.0.1:{8899 + offset}")

    def m0(self, *args: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [M0, *args], env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"m0 {' '.join(args)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.api + path, timeout=10) as response:
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

    def finalized(self, catalog: str, limit: int = 50) -> list[dict[str, Any]]:
        return self.get(f"/v1/epochs?catalog={catalog}&status=finalized&limit={limit}")["items"]

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
