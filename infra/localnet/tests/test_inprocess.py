"""A chain inside of one process, on a clock that the code under test has too."""

import json
import urllib.request
from asyncio import to_thread

import pytest
from m0common.clock import ManualClock
from m0localnet.inprocess import InProcess
from m0localnet.vm import CLOCK
from solders.clock import Clock
from solders.keypair import Keypair
from solders.message import Message
from solders.transaction import VersionedTransaction
from websockets.asyncio.client import connect


@pytest.fixture
def clock():
    return ManualClock(1_800_000_000_250)


@pytest.fixture
def chain(tmp_path, clock):
    with InProcess(tmp_path / "ledger", clock) as chain:
        yield chain


def sent(chain, tools, payer: Keypair, to) -> VersionedTransaction:
    message = Message.new_with_blockhash([tools.pay(payer, to, tools.SOL)], payer.pubkey(), chain.blockhash())
    return VersionedTransaction(message, [payer])


def test_time_passes_for_both_and_in_whole_slots(chain, clock):
    begin, slot = clock.now_ms(), chain.node.bank.running.number
    for _ in range(100):
        chain.advance(130)
    assert clock.now_ms() == begin + 13_000
    assert chain.node.bank.clock.now_ms() == clock.now_ms()
    assert chain.node.bank.running.number == slot + 13_000 // 400
    shown = Clock.from_bytes(chain.account(CLOCK).data)
    assert (shown.unix_timestamp, shown.slot) == (clock.now_ms() // 1000, slot + 32)
    chain.end_slot()
    assert (clock.now_ms(), chain.node.bank.running.number) == (begin + 33 * 400, slot + 33)


def test_a_day_passes_at_once_and_old_blockhashes_with_it(chain, clock, tools):
    payer, to = Keypair(), Keypair().pubkey()
    chain.fund(payer.pubkey())
    old = sent(chain, tools, payer, to)
    chain.advance(86_400_000)
    assert chain.process(old) == "BlockhashNotFound"
    assert chain.process(sent(chain, tools, payer, to)) is None
    chain.advance(800)
    told = chain.call("getBalance", str(to), {"commitment": "confirmed"})
    assert told["result"]["value"] == tools.SOL


def test_the_chain_is_there_again_on_the_next_clock(tmp_path, clock, tools):
    with InProcess(tmp_path / "ledger", clock) as chain:
        chain.fund(Keypair().pubkey())
        chain.advance(3_600_123)
        slot = chain.node.bank.running.number
    with InProcess(tmp_path / "ledger", clock) as again:
        assert again.node.bank.clock.now_ms() == clock.now_ms()
        assert again.node.bank.running.number > slot


@pytest.mark.loopback
async def test_clients_reach_it_on_loopback(chain, tools):
    payer = Keypair()
    chain.fund(payer.pubkey(), 10**9)

    def ask(url: str):
        body = {"jsonrpc": "2.0", "id": 1, "method": "getBalance", "params": [str(payer.pubkey())]}
        request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as reply:
            return json.load(reply)["result"]["value"]

    async with chain.served() as (rpc, ws), connect(ws, compression=None) as socket:
        await socket.send('{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}')
        await socket.recv()
        assert await to_thread(ask, rpc) == 0  # nothing is final before time has passed
        chain.advance(20 * 400)
        assert await to_thread(ask, rpc) == 10**9
        first = json.loads(await socket.recv())["params"]["result"]
        assert first["slot"] == first["parent"] + 1
