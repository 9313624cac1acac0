"""A node driven by hand: slots pass when the test says so, the clock stands where the test puts it."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest
from m0common.clock import ManualClock
from m0localnet.commitment import Commitment
from m0localnet.errors import LedgerError
from m0localnet.fixtures import Fixtures
from m0localnet.node import IDLE_SLOTS_PER_WRITE, Node, NodeConfig
from m0localnet.rpc.dispatch import handle
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

SOL = 10**9
START = 1_800_000_000


class Hand:
    """A node with its controls."""

    def __init__(
        self, ledger: Path, *, finality_slots: int = 4, allow_admin: bool = False, fixtures: Fixtures | None = None
    ) -> None:
        self.ledger = ledger
        self.clock = ManualClock(START * 1000)
        config = NodeConfig(ledger, 400, finality_slots, allow_admin, fixtures or Fixtures())
        self.node = Node(config, self.clock)
        self.bank = self.node.bank

    def slots(self, count: int = 1) -> None:
        """End slots as the running node does."""
        for _ in range(count):
            self.bank.freeze()
            batch = self.bank.unwritten(IDLE_SLOTS_PER_WRITE)
            if batch is not None:
                try:
                    self.node.store.commit(batch)
                except LedgerError as error:
                    self.bank.halted = str(error)
                else:
                    self.bank.written(batch.state)
                    self.bank.halted = None
            self.bank.advance_commitment()

    def call(self, method: str, *params):
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return msgspec.json.decode(handle(self.node, body))

    def result(self, method: str, *params):
        reply = self.call(method, *params)
        assert "result" in reply, reply
        return reply["result"]

    def blockhash(self) -> Hash:
        return Hash(self.bank.blockhashes.at(self.bank.running.number))

    def sign(self, instructions, *signers: Keypair, blockhash: Hash | None = None) -> VersionedTransaction:
        message = Message.new_with_blockhash(instructions, signers[0].pubkey(), blockhash or self.blockhash())
        return VersionedTransaction(message, list(signers))

    def send(self, tx: VersionedTransaction, **options):
        config = {"encoding": "base64", "preflightCommitment": "processed", **options}
        return self.call("sendTransaction", base64.b64encode(bytes(tx)).decode(), config)

    def land(self, instructions, *signers: Keypair) -> bytes:
        tx = self.sign(instructions, *signers)
        dropped = self.bank.process(tx)
        assert dropped is None, dropped
        return bytes(tx.signatures[0])

    def funded(self, lamports: int = 10 * SOL) -> Keypair:
        key = Keypair()
        assert self.bank.process(self.node.airdrop(key.pubkey(), lamports)) is None
        return key

    def balance(self, key: Pubkey, level: Commitment = Commitment.PROCESSED) -> int:
        account = self.bank.account(key, self.bank.slot_at(level))
        return account.lamports if account else 0

    def crash(self, into: Path) -> Path:
        """Copy the ledger as a kill -9 would leave it."""
        into.mkdir(parents=True)
        for file in self.ledger.iterdir():
            if file.name != "lock" and not file.name.endswith("-shm"):
                (into / file.name).write_bytes(file.read_bytes())
        return into

    def close(self) -> None:
        self.node.close()


def pay(sender: Keypair, to: Pubkey, lamports: int):
    return transfer(TransferParams(from_pubkey=sender.pubkey(), to_pubkey=to, lamports=lamports))


@pytest.fixture
def hands(tmp_path):
    """Start nodes; all are closed at the end."""
    started: list[Hand] = []

    def start(ledger: Path | None = None, **options) -> Hand:
        hand = Hand(ledger or tmp_path / "ledger", **options)
        started.append(hand)
        return hand

    yield start
    for hand in started:
        try:
            hand.close()
        except Exception:  # noqa: BLE001 - some tests close their node themselves
            continue


@pytest.fixture
def hand(hands):
    return hands()


@pytest.fixture
def memo_so(tmp_path) -> Path:
    """A file with the code of the memo program, as LiteSVM ships it."""
    account = LiteSVM().get_account(Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"))
    assert account is not None
    file = tmp_path / "memo.so"
    file.write_bytes(account.data)
    return file


@pytest.fixture(scope="session")
def tools():
    """Names shared by the tests; test folders are not packages, so they come as a fixture."""

    class Tools:
        SOL, START = SOL, START
        Hand = Hand
        pay = staticmethod(pay)

    return Tools
