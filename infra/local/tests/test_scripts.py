"""The scripts of the deployment guide: a chain, the programs on it, the IDLs."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from m0local.ports import free_port
from m0local.readiness import rpc_ready

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "scripts"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def script(tmp_path):
    """Run one of them from another folder, with a home of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("M0_")}
    env["M0_HOME"] = str(tmp_path / "home")

    def command(name, *args):
        return {"args": [str(SCRIPTS / name), *args], "env": env, "cwd": tmp_path}

    return command


def test_a_chain_is_started_and_the_programs_are_deployed_to_it(script, tmp_path):
    port = free_port()
    options = ("--rpc-port", str(port), "--ws-port", str(free_port()), "--slot-ms", "100")
    with (tmp_path / "log").open("wb") as log:
        node = subprocess.Popen(**script("localnet.sh", *options), stderr=log, stdout=log)
        try:
            deadline = time.monotonic() + 120
            while not rpc_ready(node.pid, port):
                assert node.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)
            url = f"http://127.0.0.1:{port}"
            deploy = script("deploy_programs.sh", "localnet", "--rpc", url)
            done = subprocess.run(**deploy, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert "deploy program oracle as " in done.stdout
            assert "deploy program registry as " in done.stdout
            assert (tmp_path / "home" / "keys" / "admin.json").stat().st_mode & 0o777 == 0o600
            assert (tmp_path / "home" / "localnet-alone").is_dir()
        finally:
            with contextlib.suppress(ProcessLookupError):
                node.send_signal(signal.SIGTERM)
            assert node.wait(60) == 0


def test_the_idls_are_those_of_the_interface_files_and_have_a_clusters_addresses(script, tmp_path):
    done = subprocess.run(**script("gen_idl.sh", "--check"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
