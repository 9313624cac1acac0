import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).parent))


@dataclass
class Localnet:
    """A chain of the tests' own, in its own process."""

    folder: Path
    rpc_port: int
    ws_port: int
    process: subprocess.Popen | None = None
    durable = True
    keeps_time = True

    @property
    def rpc_url(self):
        return f"http://127.0.0.1:{self.rpc_port}"

    @property
    def ws_url(self):
        return f"ws://127.0.0.1:{self.ws_port}"

    def command(self):
        return [
            sys.executable, "-m", "m0localnet", "--rpc-port", str(self.rpc_port), "--ws-port", str(self.ws_port),
            "--ledger", str(self.folder / "ledger"), "--allow-admin", "--slot-ms", "100",
        ]  # fmt: skip

    def start(self):
        command = self.command()
        with (self.folder / "localnet.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            try:
                if self.call("getHealth")["result"] == "ok":
                    return
            except httpx2.HTTPError:
                time.sleep(0.05)
        raise AssertionError((self.folder / "localnet.log").read_text()[-2000:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def call(self, method, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return httpx2.post(self.rpc_url, json=body, timeout=5).json()


class Validator(Localnet):
    """The real thing, from M0_TEST_VALIDATOR."""

    durable = False
    keeps_time = False
    """On a machine with other work its clock falls behind, and what watches it says so."""

    def command(self):
        free = [free_port() for _ in range(3)]
        return [
            os.environ["M0_TEST_VALIDATOR"], "--ledger", str(self.folder / "ledger"), "--quiet",
            "--bind-address", "127.0.0.1", "--rpc-port", str(self.rpc_port), "--faucet-port", str(free[0]),
            "--gossip-port", str(free[1]), "--dynamic-port-range", f"{free[2]}-{free[2] + 100}",
        ]  # fmt: skip


def free_port():
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = 20_000 + probe.getsockname()[1] % 12_000
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


REAL = pytest.param(
    Validator,
    id="validator",
    marks=[
        pytest.mark.validator,
        pytest.mark.skipif(not os.environ.get("M0_TEST_VALIDATOR"), reason="M0_TEST_VALIDATOR is not set"),
    ],
)


@pytest.fixture(scope="session", params=[pytest.param(Localnet, id="localnet"), REAL])
def localnet(request, tmp_path_factory):
    """A chain for the session: ours, and the real validator where it is to be had. Its PubSub port is RPC + 1."""
    port = free_port()
    chain = request.param(tmp_path_factory.mktemp("chain"), port, port + 1)
    chain.start()
    yield chain
    chain.kill()
