"""`m0 verify` and `m0 watch` as a user runs them, against an API, a node and a stream on loopback."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from m0cli.main import app as m0_app
from typer.testing import CliRunner
from websockets.sync.server import serve


def m0(*args, stdin=None):
    """As a subprocess would, without its start."""
    done = CliRunner().invoke(m0_app, args, input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return subprocess.CompletedProcess(args, done.exit_code, done.stdout, done.stderr)


def test_the_installed_command_verifies(deployment):
    args = ("verify", deployment.world.market_id, "--api", deployment.url, "--rpc", deployment.url)
    command = [sys.executable, "-m", "m0cli.main", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, deployment.world.tree.root.hex() in done.stdout) == (0, True), done.stderr


def verify(deployment, *args, stdin=None):
    return m0(
        "verify", deployment.world.market_id, "--api", deployment.url, "--rpc", deployment.url, *args, stdin=stdin
    )


def test_a_good_proof_prints_the_root_and_exits_0(deployment):
    done = verify(deployment)
    assert done.returncode == 0, done.stderr
    assert f"root      {deployment.world.tree.root.hex()}" in done.stdout
    assert "named by the proof alone" in done.stdout
    pinned = verify(deployment, "--program", str(deployment.world.program))
    assert pinned.returncode == 0
    assert "named by the proof alone" not in pinned.stdout


def test_json_says_the_same_in_one_object(deployment):
    done = verify(deployment, "--json")
    answer = json.loads(done.stdout)
    assert (answer["verified"], answer["merkle_root"]) == (True, deployment.world.tree.root.hex())
    assert answer["checks"] == ["schema", "leaf", "path", "header", "bundle_hash", "attestations", "chain"]


@pytest.mark.parametrize(
    ("bend", "check"),
    [
        ({"schema": 9}, "schema"),
        ({"leaf": "00" * 90}, "leaf"),
        ({"siblings": []}, "path"),
        ({"header": "00" * 250}, "header"),
        ({"bundle_hash": "00" * 32}, "bundle_hash"),
        ({"attestations": []}, "attestations"),
    ],
)
def test_the_first_check_that_fails_is_named_and_the_exit_code_is_1(deployment, tmp_path, bend, check):
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(deployment.world.proof(**bend)))
    done = verify(deployment, "--file", str(path))
    assert done.returncode == 1
    assert f": {check} failed: " in done.stdout
    answer = json.loads(verify(deployment, "--file", str(path), "--json").stdout)
    assert (answer["verified"], answer["check"]) == (False, check)


def test_a_chain_that_finalized_something_else_is_named(deployment):
    world = deployment.world
    world.accounts[world.epoch_address] = (world.program, world.epoch(status=4))
    done = verify(deployment)
    assert (done.returncode, "chain failed: " in done.stdout) == (1, True)


def test_a_proof_from_a_file_or_standard_input_needs_only_a_node(deployment, tmp_path):
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(deployment.world.proof()))
    market = deployment.world.market_id
    nowhere = ("--api", "http://127.0.0.1:1", "--rpc", deployment.url)
    assert m0("verify", market, "--file", str(path), *nowhere).returncode == 0
    assert m0("verify", market, "--file", "-", *nowhere, stdin=path.read_text()).returncode == 0
    other = m0("verify", "OTHER", "--file", str(path), *nowhere)
    assert (other.returncode, "schema failed" in other.stdout) == (1, True)


def test_what_cannot_be_asked_is_said_plainly(deployment):
    unknown = m0("verify", "NOBODY", "--api", deployment.url, "--rpc", deployment.url)
    assert (unknown.returncode, "market_not_found" in unknown.stderr) == (1, True)
    away = verify(deployment, "--rpc", "http://127.0.0.1:1")
    assert (away.returncode, "127.0.0.1:1" in away.stderr) == (1, True)
    assert "Traceback" not in unknown.stderr + away.stderr


@pytest.mark.parametrize(
    "args",
    [("verify",), ("verify", "lower"), ("verify", "M", "--file", "/nowhere/proof.json"), ("watch", "--count", "x")],
)
def test_wrong_use_exits_with_2(args):
    assert m0(*args).returncode == 2


@contextmanager
def streaming(frames):
    def handler(connection):
        request = json.loads(connection.recv())
        connection.send(json.dumps({"op": "subscribed", "id": 1, "channels": request["channels"]}))
        for frame in frames:
            connection.send(json.dumps(frame))
        for _ in connection:
            pass

    with serve(handler, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/ws"
        server.shutdown()


def watch(deployment, frames, count):
    with streaming(frames) as url:
        args = ("--api", deployment.url, "--rpc", deployment.url, "--stream", url, "--count", str(count))
        return m0("watch", *args), m0("watch", *args, "--json")


def test_watch_ticks_what_is_proved(deployment):
    name = "predictions.sports"
    frames = [
        {"op": "snapshot", "channel": name, "seq": 3, "data": [deployment.prediction()]},
        {"op": "update", "channel": name, "seq": 4, "ts_ms": 1, "data": deployment.prediction()},
    ]
    lines, objects = watch(deployment, frames, 1)
    assert lines.returncode == 0, lines.stderr
    assert lines.stdout.startswith("✓")
    assert deployment.world.market_id in lines.stdout
    (answer,) = map(json.loads, objects.stdout.splitlines())
    assert (answer["verified"], answer["merkle_root"]) == (True, deployment.world.tree.root.hex())


def test_watch_crosses_out_what_is_not(deployment):
    deployment.bend = {"bundle_hash": "00" * 32}
    update = {"op": "update", "channel": "predictions.sports", "seq": 4, "ts_ms": 1, "data": deployment.prediction()}
    lines, objects = watch(deployment, [update], 1)
    assert (lines.returncode, objects.returncode) == (1, 1)
    assert lines.stdout.startswith("✗")
    assert "bundle_hash" in json.loads(objects.stdout)["problem"]


def test_watch_notices_a_stream_that_shows_other_numbers_than_the_leaf(deployment):
    prediction = deployment.prediction()
    prediction["outcomes"][0]["p_ppb"] += 1
    update = {"op": "update", "channel": "predictions.sports", "seq": 4, "ts_ms": 1, "data": prediction}
    lines, _ = watch(deployment, [update], 1)
    assert (lines.returncode, "not the one in the leaf" in " ".join(lines.stdout.split())) == (1, True)


def test_watch_says_when_the_server_refuses(deployment):
    frame = {"op": "error", "id": 1, "code": "unknown_channel", "message": "no such channel"}
    lines, _ = watch(deployment, [frame], 1)
    assert (lines.returncode, "unknown_channel" in lines.stderr) == (1, True)


def test_watch_says_which_server_is_not_there(deployment):
    done = m0("watch", "--api", deployment.url, "--rpc", deployment.url, "--stream", "ws://127.0.0.1:1/ws")
    assert (done.returncode, "ws://127.0.0.1:1/ws" in done.stderr) == (1, True)
