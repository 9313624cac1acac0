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
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
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


def test_a_chain_begins_with_what_the_command_line_names(started, tmp_path, memo_so):
    key, program, upgradeable = (str(Keypair().pubkey()) for _ in range(3))
    account = {
        "lamports": 10**9,
        "data": ["aGVsbG8=", "base64"],
        "owner": "1" * 32,
        "executable": False,
        "rentEpoch": 0,
    }
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "account.json"
    file.write_text(json.dumps({"pubkey": key, "account": account}))
    named = str(Keypair().pubkey())
    options = ["--bpf-program", program, str(memo_so), "--upgradeable-program", upgradeable, str(memo_so), named]
    options += ["--account", named, str(file), "--account-dir", str(file.parent)]
    for turn in range(2):
        process = started(*(options if turn == 0 else ())).ready()
        config = {"encoding": "base64", "commitment": "processed"}
        for address in (key, named):
            assert process.result("getAccountInfo", address, config)["value"]["data"] == account["data"]
        for address in (program, upgradeable):
            assert process.result("getAccountInfo", address, config)["value"]["executable"] is True
        process.stop()


def test_a_bad_account_file_is_one_clear_sentence(started, tmp_path):
    file = tmp_path / "account.json"
    file.write_text('{"pubkey": "me"}')
    process = started("--account", "-", str(file))
    assert process.popen.wait(20) == 1
    assert process.popen.stderr.read() == (
        f"localnet: {file} holds no account: Object missing required field `account`\n"
    )
    assert not (tmp_path / "ledger").exists()


def test_a_transaction_that_used_to_end_the_node_does_not(started, memo_so):
    program, payer = Keypair().pubkey(), Keypair()
    process = started("--slot-ms", "100", "--bpf-program", str(program), str(memo_so)).ready()
    process.result("requestAirdrop", str(payer.pubkey()), 10**11)
    loader = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
    data = Pubkey.find_program_address([bytes(program)], loader)[0]
    metas = [(data, False), (program, False), (Pubkey.default(), False), (payer.pubkey(), True)]
    extend = Instruction(
        loader, b"\6\0\0\0" + (10_240).to_bytes(4, "little"), [AccountMeta(key, sign, True) for key, sign in metas]
    )
    limit = set_compute_unit_limit(9)
    blockhash = Hash.from_string(
        process.result("getLatestBlockhash", {"commitment": "processed"})["value"]["blockhash"]
    )
    answers = []
    for instructions in ([extend], [limit, limit, Instruction(program, b"", [])], [Instruction(program, b"", [])]):
        tx = VersionedTransaction(Message.new_with_blockhash(instructions, payer.pubkey(), blockhash), [payer])
        config = {"encoding": "base64", "skipPreflight": True}
        answers.append(process.call("sendTransaction", base64.b64encode(bytes(tx)).decode(), config))
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, -32602, None]
    slot = process.result("getSlot", {"commitment": "processed"})
    end = time.monotonic() + 10
    while process.result("getSignatureStatuses", [answers[2]["result"]])["value"][0] is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert process.result("getSlot", {"commitment": "processed"}) > slot
    assert process.popen.poll() is None


def test_a_running_node_is_warped_and_goes_on(started):
    process = started("--allow-admin", "--slot-ms", "100").ready()
    with connect(f"ws://127.0.0.1:{process.port + 1}", compression=None) as ws:
        ws.send('{"jsonrpc":"2.0","id":1,"method":"rootSubscribe"}')
        ws.recv(5)
        before = process.result("m0_clock")
        after = process.result("m0_warp", {"ms": 3_600_000})
        assert 36_000 <= after["slot"] - before["slot"] < 36_100
        assert 3_600 <= after["unix_timestamp"] - before["unix_timestamp"] < 3_610
        assert process.result("getSlot", {"commitment": "finalized"}) >= after["slot"] - 9
        end = time.monotonic() + 10
        while json.loads(ws.recv(5))["params"]["result"] < after["slot"]:
            assert time.monotonic() < end
    assert process.result("getHealth") == "ok"
