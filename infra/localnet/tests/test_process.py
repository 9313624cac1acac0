"""The process: start, stop, kill, ports, cost of doing nothing."""

import base64
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from websockets.sync.client import connect

pytestmark = pytest.mark.loopback


def free_port() -> int:
    for _ in range(100):
        port = random.randrange(20_000, 32_000, 2)
        with contextlib.closing(socket.socket()) as first, contextlib.closing(socket.socket()) as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise RuntimeError("no free ports")


class Process:
    """A localnet of its own."""

    def __init__(self, ledger, *options, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "m0localnet", "--ledger", str(ledger), "--rpc-port", str(self.port)]
        command += ["--ws-port", str(self.port + 1), "--log-json", *options]
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ready(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            assert self.popen.poll() is None, self.popen.stderr.read()
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url + "/health", timeout=2) as reply:
                assert reply.read() == b"ok"
                return self
            time.sleep(0.05)
        raise AssertionError("not ready in 20 s")

    def call(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as reply:
            return json.loads(reply.read())

    def result(self, method, *params):
        return self.call(method, *params)["result"]

    def stop(self, number=signal.SIGTERM):
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        _, errors = self.popen.communicate(timeout=10)
        return errors


@pytest.fixture
def started(tmp_path):
    running = []

    def start(*options, ledger=None, port=None):
        process = Process(ledger or tmp_path / "ledger", *options, port=port)
        running.append(process)
        return process

    yield start
    for process in running:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


def test_it_starts_answers_and_stops_within_a_second(started):
    process = started().ready()
    assert process.result("getHealth") == "ok"
    with connect(f"ws://127.0.0.1:{process.port + 1}", compression=None) as ws:
        ws.send('{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}')
        assert json.loads(ws.recv(5))["result"] > 0
        begin = time.monotonic()
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(5) == 0
        assert time.monotonic() - begin < 1
    lines = [json.loads(line) for line in process.popen.stderr.read().splitlines()]
    assert [line["event"] for line in lines] == ["new chain", "localnet ready", "localnet stopped"]


@pytest.mark.parametrize(("taken", "option"), [(0, "--rpc-port"), (1, "--ws-port")])
def test_a_taken_port_is_one_clear_sentence(started, tmp_path, taken, option):
    port = free_port()
    with contextlib.closing(socket.socket()) as other:
        other.bind(("127.0.0.1", port + taken))
        other.listen()
        process = started(port=port)
        assert process.popen.wait(20) == 1
    assert process.popen.stderr.read() == (
        f"localnet: port {port + taken} on 127.0.0.1 is already in use; "
        f"stop what listens there or choose another with {option}\n"
    )
    assert not (tmp_path / "ledger").exists()


def test_wrong_use_exits_with_2(started):
    process = started("--slot-ms", "1")
    assert process.popen.wait(20) == 2
    assert "--slot-ms must lie between" in process.popen.stderr.read()


def test_kill_9_loses_no_confirmed_transaction(started, tmp_path):
    rng = random.Random(11)
    payer = Keypair()
    port = free_port()
    confirmed: dict[str, int] = {}
    genesis = None
    slot = 0
    for turn in range(4):
        process = started("--slot-ms", "100", port=port).ready()
        genesis = genesis or process.result("getGenesisHash")
        assert process.result("getGenesisHash") == genesis
        assert process.result("getSlot", {"commitment": "confirmed"}) >= slot
        for signature, lamports in confirmed.items():
            told = process.result("getTransaction", signature, {"commitment": "confirmed"})
            assert told is not None, f"confirmed transaction lost after kill {turn}"
            assert told["meta"]["postBalances"][1] == lamports
        if turn == 0:
            process.result("requestAirdrop", str(payer.pubkey()), 10**12)
        sent: dict[str, int] = {}
        stop_at = time.monotonic() + rng.uniform(0.7, 1.8)
        while time.monotonic() < stop_at:
            blockhash = process.result("getLatestBlockhash", {"commitment": "processed"})["value"]["blockhash"]
            lamports = rng.randrange(10**6, 10**8)
            pay = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=Keypair().pubkey(), lamports=lamports))
            message = Message.new_with_blockhash([pay], payer.pubkey(), Hash.from_string(blockhash))
            tx = VersionedTransaction(message, [payer])
            config = {"encoding": "base64", "preflightCommitment": "processed"}
            sent[process.result("sendTransaction", base64.b64encode(bytes(tx)).decode(), config)] = lamports
            statuses = process.result("getSignatureStatuses", list(sent)[-256:])["value"]
            for signature, status in zip(list(sent)[-256:], statuses, strict=True):
                if status and status["confirmationStatus"] != "processed":
                    confirmed[signature] = sent[signature]
            slot = process.result("getSlot", {"commitment": "confirmed"})
        os.kill(process.popen.pid, signal.SIGKILL)
        process.popen.communicate()
    assert len(confirmed) > 20


def test_doing_nothing_costs_almost_nothing(started):
    process = started().ready()
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            ws = stack.enter_context(connect(f"ws://127.0.0.1:{process.port + 1}", compression=None))
            for method, params in (
                ("slotSubscribe", []),
                ("logsSubscribe", ["all"]),
                ("accountSubscribe", ["11111111111111111111111111111111"]),
            ):
                ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        time.sleep(1)
        probe = psutil.Process(process.popen.pid)
        before, begin = probe.cpu_times(), time.monotonic()
        time.sleep(6)
        after = probe.cpu_times()
        spent = after.user + after.system - before.user - before.system
        assert spent / (time.monotonic() - begin) < 0.03
        assert probe.memory_info().rss < 150 * 2**20
