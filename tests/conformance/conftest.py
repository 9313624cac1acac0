"""
Two targets, one suite: localnet, and the real ``solana-test-validator`` when ``M0_TEST_VALIDATOR`` names its binary.

Every test takes the ``chain`` fixture and asserts the same of both.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import ClassVar

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.websocket_api import SolanaWsClient
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction
from websockets.asyncio.client import connect

SOL = 10**9
UPGRADEABLE_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
SYSTEM = Pubkey.default()
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
CHUNK_BYTES = 900
DEADLINE_S = 60


def free_ports(count: int, start: int = 20_000, end: int = 32_000) -> int:
    """Return the first of ``count`` consecutive free ports below the ephemeral range."""
    for _ in range(200):
        first = random.randrange(start, end - count)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(contextlib.closing(socket.socket())).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise RuntimeError("no free ports between 20000 and 32000")


class Chain:
    """A running target with what tests do to it."""

    def __init__(self, name: str, rpc_url: str, ws_url: str) -> None:
        self.name, self.rpc_url, self.ws_url = name, rpc_url, ws_url

    # ---- raw JSON-RPC

    def post(self, body: str | bytes, content_type: str = "application/json") -> bytes:
        raw = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(self.rpc_url, raw, {"content-type": content_type})
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.read()

    def call(self, method: str, *params):
        return json.loads(self.post(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})))

    def result(self, method: str, *params):
        reply = self.call(method, *params)
        assert "result" in reply, reply
        return reply["result"]

    def error(self, method: str, *params) -> dict:
        reply = self.call(method, *params)
        assert "error" in reply, reply
        return reply["error"]

    # ---- clients

    def client(self, commitment=Confirmed) -> AsyncClient:
        return AsyncClient(self.rpc_url, commitment=commitment)

    def ws(self) -> SolanaWsClient:
        return SolanaWsClient(self.ws_url)

    @contextlib.asynccontextmanager
    async def raw_ws(self):
        async with connect(self.ws_url) as socket:
            yield RawWs(socket)

    # ---- transactions

    def blockhash(self, commitment: str = "confirmed") -> Hash:
        return Hash.from_string(self.result("getLatestBlockhash", {"commitment": commitment})["value"]["blockhash"])

    def sign(self, instructions, signers, *, blockhash=None, v0=False, tables=()) -> VersionedTransaction:
        blockhash = blockhash or self.blockhash()
        payer = signers[0].pubkey()
        if v0:
            return VersionedTransaction(MessageV0.try_compile(payer, instructions, list(tables), blockhash), signers)
        return VersionedTransaction(Message.new_with_blockhash(instructions, payer, blockhash), signers)

    def send(self, tx: VersionedTransaction, **options) -> str:
        config = {"encoding": "base64", "preflightCommitment": "confirmed", **options}
        return self.result("sendTransaction", base64.b64encode(bytes(tx)).decode(), config)

    def try_send(self, tx: VersionedTransaction, **options) -> dict:
        config = {"encoding": "base64", "preflightCommitment": "confirmed", **options}
        return self.error("sendTransaction", base64.b64encode(bytes(tx)).decode(), config)

    def simulate(self, tx: VersionedTransaction, **options) -> dict:
        config = {"encoding": "base64", "commitment": "confirmed", **options}
        return self.result("simulateTransaction", base64.b64encode(bytes(tx)).decode(), config)["value"]

    def status(self, signature: str) -> dict | None:
        return self.result("getSignatureStatuses", [signature])["value"][0]

    async def wait(self, signature: str, level: str = "confirmed", again: VersionedTransaction | None = None) -> dict:
        """Wait until a transaction has a level; ``again`` is sent again meanwhile, as a careful client does."""
        levels = ["processed", "confirmed", "finalized"]
        end = time.monotonic() + DEADLINE_S
        resend = time.monotonic() + 2
        while time.monotonic() < end:
            status = self.status(signature)
            if status and levels.index(status["confirmationStatus"]) >= levels.index(level):
                return status
            if again is not None and status is None and time.monotonic() > resend:
                self.call(
                    "sendTransaction",
                    base64.b64encode(bytes(again)).decode(),
                    {"encoding": "base64", "skipPreflight": True},
                )
                resend = time.monotonic() + 2
            await asyncio.sleep(0.1)
        raise AssertionError(f"{signature} did not become {level} in {DEADLINE_S} s")

    async def land(self, instructions, signers, *, skip_preflight=False, level="confirmed", **how) -> str:
        """Sign, send and wait; returns the signature. The outcome may be an error of the transaction."""
        tx = self.sign(instructions, signers, **how)
        signature = self.send(tx, skipPreflight=skip_preflight)
        await self.wait(signature, level, tx)
        return signature

    async def ok(self, instructions, signers, **how) -> dict:
        """Land a transaction that must succeed; returns what ``getTransaction`` tells."""
        told = self.transaction(await self.land(instructions, signers, **how))
        assert told["meta"]["err"] is None, told["meta"]
        return told

    def transaction(self, signature: str, **options) -> dict | None:
        config = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0, **options}
        return self.result("getTransaction", signature, config)

    async def funded(self, lamports: int = 10 * SOL, key: Keypair | None = None) -> Keypair:
        """Return a (new) key with lamports, confirmed."""
        key = key or Keypair()
        for _ in range(5):
            signature = self.result("requestAirdrop", str(key.pubkey()), lamports)
            end = time.monotonic() + 12
            while time.monotonic() < end:
                if self.balance(key.pubkey()) >= lamports:
                    return key
                await asyncio.sleep(0.1)
        raise AssertionError(f"airdrop {signature} did not arrive")

    # ---- state

    def balance(self, key: Pubkey, commitment: str = "confirmed") -> int:
        return self.result("getBalance", str(key), {"commitment": commitment})["value"]

    def account(self, key: Pubkey, **options) -> dict | None:
        config = {"commitment": "confirmed", "encoding": "base64", **options}
        return self.result("getAccountInfo", str(key), config)["value"]

    def data(self, key: Pubkey) -> bytes:
        account = self.account(key)
        assert account is not None
        return base64.b64decode(account["data"][0])

    def rent(self, size: int) -> int:
        return self.result("getMinimumBalanceForRentExemption", size)

    async def next_slots(self, count: int) -> None:
        target = self.result("getSlot", {"commitment": "processed"}) + count
        end = time.monotonic() + DEADLINE_S
        while self.result("getSlot", {"commitment": "processed"}) < target:
            assert time.monotonic() < end, "slots stand still"
            await asyncio.sleep(0.1)

    # ---- programs

    async def buffer(self, payer: Keypair, code: bytes) -> Keypair:
        """Write ``code`` into a new loader buffer whose authority is ``payer``."""
        key = Keypair()
        size = 37 + len(code)
        create = create_account(
            CreateAccountParams(
                from_pubkey=payer.pubkey(),
                to_pubkey=key.pubkey(),
                lamports=self.rent(size),
                space=size,
                owner=UPGRADEABLE_LOADER,
            )
        )
        init = loader(0, b"", w(key.pubkey()), r(payer.pubkey()))
        await self.ok([create, init], [payer, key])
        pending = []
        for offset in range(0, len(code), CHUNK_BYTES):
            chunk = code[offset : offset + CHUNK_BYTES]
            body = offset.to_bytes(4, "little") + len(chunk).to_bytes(8, "little") + chunk
            tx = self.sign([loader(1, body, w(key.pubkey()), r(payer.pubkey(), signer=True))], [payer])
            pending.append((self.send(tx, skipPreflight=True), tx))
        for signature, tx in pending:
            status = await self.wait(signature, "confirmed", tx)
            assert status["err"] is None, status
        assert self.data(key.pubkey())[37:] == code
        return key

    async def deploy(
        self, payer: Keypair, code: bytes, room: int | None = None, program: Keypair | None = None
    ) -> tuple[Keypair, Pubkey]:
        """Deploy ``code`` with space for ``room`` bytes; returns the program's key and its data's address."""
        buffer = await self.buffer(payer, code)
        program = program or Keypair()
        data = program_data(program.pubkey())
        create = create_account(
            CreateAccountParams(
                from_pubkey=payer.pubkey(),
                to_pubkey=program.pubkey(),
                lamports=self.rent(36),
                space=36,
                owner=UPGRADEABLE_LOADER,
            )
        )
        go = loader(
            2,
            (room or len(code)).to_bytes(8, "little"),
            w(payer.pubkey(), signer=True),
            w(data),
            w(program.pubkey()),
            w(buffer.pubkey()),
            r(RENT),
            r(CLOCK),
            r(SYSTEM),
            r(payer.pubkey(), signer=True),
        )
        await self.ok([create, go], [payer, program])
        await self.next_slots(2)
        return program, data

    def upgrade(self, payer: Pubkey, program: Pubkey, buffer: Pubkey, authority: Pubkey) -> Instruction:
        return loader(
            3,
            b"",
            w(program_data(program)),
            w(program),
            w(buffer),
            w(payer),
            r(RENT),
            r(CLOCK),
            r(authority, signer=True),
        )


class RawWs:
    """A WebSocket spoken by hand: what the typed clients hide can be asserted here."""

    def __init__(self, socket) -> None:
        self._socket = socket
        self._id = 0
        self.pending: list[dict] = []

    async def call(self, method: str, *params) -> dict:
        self._id += 1
        await self._socket.send(json.dumps({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}))
        while True:
            message = json.loads(await asyncio.wait_for(self._socket.recv(), DEADLINE_S))
            if message.get("id") == self._id:
                return message
            self.pending.append(message)

    async def subscribe(self, method: str, *params) -> int:
        reply = await self.call(method, *params)
        assert isinstance(reply.get("result"), int), reply
        return reply["result"]

    async def send_text(self, text: str) -> None:
        await self._socket.send(text)

    async def next(self, number: int, within_s: float = DEADLINE_S):
        """Return the result of the next notification of subscription ``number``; others are kept."""
        for index, message in enumerate(self.pending):
            if message["params"]["subscription"] == number:
                return self.pending.pop(index)["params"]["result"]
        end = asyncio.get_running_loop().time() + within_s
        while True:
            left = end - asyncio.get_running_loop().time()
            message = json.loads(await asyncio.wait_for(self._socket.recv(), left))
            if message.get("params", {}).get("subscription") == number:
                return message["params"]["result"]
            self.pending.append(message)

    async def reply(self) -> dict:
        return json.loads(await asyncio.wait_for(self._socket.recv(), DEADLINE_S))


def w(key: Pubkey, *, signer: bool = False) -> AccountMeta:
    return AccountMeta(key, signer, is_writable=True)


def r(key: Pubkey, *, signer: bool = False) -> AccountMeta:
    return AccountMeta(key, signer, is_writable=False)


def loader(tag: int, body: bytes, *accounts: AccountMeta) -> Instruction:
    return Instruction(UPGRADEABLE_LOADER, tag.to_bytes(4, "little") + body, list(accounts))


def shipped(address: str) -> bytes:
    """Return the code of a program that LiteSVM ships."""
    account = LiteSVM().get_account(Pubkey.from_string(address))
    assert account is not None
    return account.data


def program_data(program: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([bytes(program)], UPGRADEABLE_LOADER)[0]


def _start(command: list[str], log: Path, rpc_url: str, name: str, ws_url: str):
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    end = time.monotonic() + DEADLINE_S
    try:
        while True:
            assert process.poll() is None, f"{name} ended:\n{log.read_text()[-2000:]}"
            with contextlib.suppress(OSError, ValueError):
                chain = Chain(name, rpc_url, ws_url)
                # The validator drops what reaches it before it produces blocks.
                if chain.result("getHealth") == "ok" and chain.result("getSlot", {"commitment": "confirmed"}) >= 4:
                    return process, chain
            assert time.monotonic() < end, f"{name} did not start in {DEADLINE_S} s:\n{log.read_text()[-2000:]}"
            time.sleep(0.2)
    except BaseException:
        process.kill()
        process.wait()
        raise


class Genesis:
    """What every target begins with, by the options that both have."""

    fixed, upgradeable, authority, named, found = (
        Keypair.from_seed(bytes([number]) * 32).pubkey() for number in range(101, 106)
    )
    account: ClassVar[dict] = {
        "lamports": 5_000_000,
        "data": [base64.b64encode(b"hello").decode(), "base64"],
        "owner": "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
        "executable": False,
        "rentEpoch": 18_446_744_073_709_551_615,
        "space": 5,
    }

    @classmethod
    def options(cls, directory: Path) -> list[str]:
        """Write the files and return the options that name them."""
        code, folder = directory / "memo.so", directory / "accounts"
        code.write_bytes(shipped("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"))
        folder.mkdir()
        dump = folder / "found.json"
        dump.write_text(json.dumps({"pubkey": str(cls.found), "account": cls.account}))
        upgradeable = ["--upgradeable-program", str(cls.upgradeable), str(code), str(cls.authority)]
        accounts = ["--account", str(cls.named), str(dump), "--account-dir", str(folder)]
        return ["--bpf-program", str(cls.fixed), str(code), *upgradeable, *accounts]


def _localnet(directory: Path):
    port = free_ports(2)
    command = [sys.executable, "-m", "m0localnet", "--ledger", str(directory / "ledger")]
    command += ["--rpc-port", str(port), "--ws-port", str(port + 1), "--log-json"]
    command += ["--slot-ms", "100"]  # a quarter of the usual length: the suite mostly waits for slots
    command += Genesis.options(directory)
    return _start(command, directory / "log", f"http://127.0.0.1:{port}", "localnet", f"ws://127.0.0.1:{port + 1}")


def _validator(directory: Path, binary: str):
    # RPC, PubSub (RPC + 1), faucet, gossip and then a range of dynamic ports.
    port = free_ports(60)
    command = [binary, "--ledger", str(directory / "ledger"), "--reset", "--quiet", "--bind-address", "127.0.0.1"]
    command += ["--rpc-port", str(port), "--faucet-port", str(port + 2), "--gossip-port", str(port + 3)]
    command += ["--dynamic-port-range", f"{port + 4}-{port + 59}", *Genesis.options(directory)]
    return _start(command, directory / "log", f"http://127.0.0.1:{port}", "validator", f"ws://127.0.0.1:{port + 1}")


def targets() -> list:
    """Return the targets this run can start."""
    if os.environ.get("M0_TEST_VALIDATOR"):
        return ["localnet", pytest.param("validator", marks=pytest.mark.validator)]
    return ["localnet"]


@pytest.fixture(scope="session", params=targets())
def chain(request, tmp_path_factory):
    """A running target, stopped at the end."""
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "validator":
        process, target = _validator(directory, os.environ["M0_TEST_VALIDATOR"])
    else:
        process, target = _localnet(directory)
    yield target
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def programs() -> dict[str, bytes]:
    """Program code that both targets load: a memo program and the associated-token program, as LiteSVM ships them."""
    return {
        "memo": shipped("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
        "token_accounts": shipped("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"),
    }


@pytest.fixture
async def payer(chain) -> Keypair:
    """A funded key, confirmed."""
    return await chain.funded()


@pytest.fixture(scope="session")
def kit():
    """Names shared by the tests; test folders are not packages, so they come as a fixture."""

    class Kit:
        pass

    for name in ("SOL", "UPGRADEABLE_LOADER", "Genesis", "loader", "program_data", "w", "r"):
        setattr(Kit, name, staticmethod(globals()[name]) if callable(globals()[name]) else globals()[name])
    return Kit
