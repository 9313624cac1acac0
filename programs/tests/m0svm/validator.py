"""The same calls on a real Agave node: `solana-test-validator`, started for the test."""

import base64
import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction

from m0svm.chain import Chain, Result
from m0svm.idl import Idl

READY_SECONDS, CONFIRM_SECONDS = 120, 60


def free_ports(count: int) -> int:
    """The first of `count` free ports in a row, below the ephemeral range."""
    for first in range(21_000, 31_000, count):
        sockets = []
        try:
            for port in range(first, first + count):
                s = socket.socket()
                sockets.append(s)
                s.bind(("127.0.0.1", port))
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
        return first
    raise RuntimeError("no free ports")


class Validator(Chain):
    """A node whose programs are deployed at its start; `stop` ends it."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder = binary, folder
        self.keys: list[Keypair] = []
        self.idls: dict[Pubkey, Idl] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.payer = self.funded()

    def funded(self) -> Keypair:
        key = Keypair()
        self.keys.append(key)
        if self.process:
            self._airdrop(key)
        return key

    def deploy(self, so: Path, idl: Idl, authority: Keypair | None) -> Pubkey:
        assert self.process is None, "one program per node"
        assert authority is not None
        program = Keypair().pubkey()
        self.idls[program] = idl
        port = free_ports(60)
        self.url = f"http://127.0.0.1:{port}"
        numbers = ["--rpc-port", port, "--faucet-port", port + 3, "--gossip-port", port + 4]
        numbers += ["--dynamic-port-range", f"{port + 5}-{port + 55}"]
        command = [self.binary, "--ledger", self.folder, "--reset", "--quiet", "--bind-address", "127.0.0.1", *numbers]
        command += ["--mint", self.payer.pubkey(), "--upgradeable-program", program, so, authority.pubkey()]
        self.process = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL)
        self._until(READY_SECONDS, "a healthy node", self._healthy)
        for key in self.keys[1:]:
            self._airdrop(key)
        return program

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait()

    def rpc(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def _healthy(self) -> bool:
        try:
            return bool(self.rpc("getHealth") == "ok")
        except (OSError, RuntimeError):
            return False

    @staticmethod
    def _until(seconds: float, what: str, ready: Any) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if answer := ready():
                return answer
            time.sleep(0.2)
        raise TimeoutError(f"no {what} within {seconds} s")

    def _confirmed(self, signature: str) -> Any:
        options = {"commitment": "confirmed", "encoding": "json", "maxSupportedTransactionVersion": 0}
        return self._until(CONFIRM_SECONDS, signature, lambda: self.rpc("getTransaction", signature, options))["meta"]

    def _airdrop(self, key: Keypair) -> None:
        self._confirmed(self.rpc("requestAirdrop", str(key.pubkey()), 10_000_000_000))

    def send(self, instructions: list[Instruction], signers: list[Keypair]) -> Result:
        latest = self.rpc("getLatestBlockhash", {"commitment": "confirmed"})["value"]["blockhash"]
        unique = list({k.pubkey(): k for k in signers}.values())
        message = Message(instructions, signers[0].pubkey())
        raw = base64.b64encode(bytes(Transaction(unique, message, Hash.from_string(latest)))).decode()
        meta = self._confirmed(self.rpc("sendTransaction", raw, {"encoding": "base64", "skipPreflight": True}))
        error = None
        if meta["err"]:
            code = meta["err"]["InstructionError"][1]["Custom"]
            error = next(iter(self.idls.values())).error_names[code]
        idl = next(iter(self.idls.values()))
        logs = [line for line in meta["logMessages"] if line.startswith("Program data: ")]
        events = [idl.event(base64.b64decode(line.removeprefix("Program data: "))) for line in logs]
        returned = meta.get("returnData")
        data = base64.b64decode(returned["data"][0]) if returned else b""
        return Result(error, meta["computeUnitsConsumed"], events, data, meta["logMessages"])

    def account(self, kind: str, address: Pubkey) -> dict[str, Any]:
        options = {"commitment": "confirmed", "encoding": "base64"}
        raw = self.rpc("getAccountInfo", str(address), options)["value"]
        return self.idls[Pubkey.from_string(raw["owner"])].account(kind, base64.b64decode(raw["data"][0]))

    def now_ms(self) -> int:
        """The node's clock."""
        where = "SysvarC1ock11111111111111111111111111111111"
        raw = self.rpc("getAccountInfo", where, {"commitment": "processed", "encoding": "base64"})["value"]
        return int.from_bytes(base64.b64decode(raw["data"][0])[32:40], "little") * 1000
