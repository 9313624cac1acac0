"""A memory broker with the topics the service reads, messages to put on them, and a client that speaks /ws."""

import asyncio
import contextlib
import hashlib
import json
import random
import socket

from m0_realtime.service import Realtime
from m0common.canonical import Outcome, PredictionLeaf
from m0common.clock import ManualClock
from m0common.ids import market_key
from m0common.messages import (
    EpochMember,
    FinalizedEpoch,
    FinalizedPrediction,
    ProvisionalPrediction,
    RegistryMarket,
    encode,
)
from m0common.process import Process
from m0common.settings import Realtime as RealtimeSettings
from m0common.settings import Settings
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import FINALIZED_EPOCHS, FINALIZED_PREDICTIONS, PROVISIONAL, REALTIME_ANCHORS, REGISTRY
from websockets.asyncio.client import connect

EPOCH_MS = 20_000
OUTCOMES = (Outcome(450_000_000, 400_000_000, 500_000_000), Outcome(550_000_000, 500_000_000, 600_000_000))


def h(label):
    return hashlib.sha256(label.encode()).digest()


def free_port():
    while True:
        port = random.randint(20_000, 32_000)
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class World:
    """One catalog `sports` (and `crypto` when asked) of markets M0, M1 … with outcomes up and down."""

    def __init__(self):
        self.clock = ManualClock()
        self.broker = MemoryBroker(self.clock)
        self.producer = self.broker.producer()
        self.port = free_port()

    async def topics(self):
        topics = [REGISTRY, FINALIZED_EPOCHS, FINALIZED_PREDICTIONS, PROVISIONAL, REALTIME_ANCHORS]
        await self.broker.create_topics(topics, 2)
        await self.producer.start()

    async def put(self, topic, message, partition=0, key=b"k", headers=()):
        await self.producer.send([Produce(topic.name, partition, key, encode(message), headers)])

    async def market(self, market_id, catalog="sports", state="ACTIVE"):
        market = RegistryMarket(market_id, catalog, "group", "Title", ("up", "down"), state, 1, 1, 2, None, 9)
        await self.put(REGISTRY, market, key=market_id.encode())

    async def epoch(self, epoch_id, markets=("M0", "M1"), catalog="sports", headers=()):
        """A finalized epoch and its leaves, as the indexer publishes them."""
        partition = 0 if catalog == "sports" else 1
        window = (epoch_id * EPOCH_MS, (epoch_id + 1) * EPOCH_MS)
        message = FinalizedEpoch(
            catalog,
            epoch_id,
            *window,
            len(markets),
            h("root"),
            h(f"bundle {epoch_id}"),
            h(f"bundle {epoch_id - 1}"),
            1,
            (
                EpochMember("A", True, True, h(f"bundle {epoch_id}")),
                EpochMember("B", True, False, None),
            ),
            window[1] + 40_000,
            window[1] + 80_000,
            "sig",
            77,
            1,
        )
        await self.put(FINALIZED_EPOCHS, message, partition, headers=headers)
        for i, market_id in enumerate(markets):
            leaf = PredictionLeaf(
                market_key(market_id), epoch_id, window[1], 1, OUTCOMES, 100 + i, 1, h("model"), h("features")
            )
            finalized = FinalizedPrediction(
                market_id, catalog, epoch_id, h(f"bundle {epoch_id}"), i, leaf.encode(), "pool"
            )
            await self.put(FINALIZED_PREDICTIONS, finalized, partition, headers=headers)

    async def provisional(self, market_id, cause, risk_bps=5, catalog="sports", life=0, epoch_id=None, **changes):
        """What the model says of a market now; by default of the epoch that is open by the clock."""
        epoch_id = self.clock.now_ms() // EPOCH_MS if epoch_id is None else epoch_id
        fields = {
            "catalog": catalog, "partition": 0, "life": life, "cause": cause, "market_id": market_id,
            "epoch_id": epoch_id, "event_ms": 1, "window_end_ms": (epoch_id + 1) * EPOCH_MS, "schema_version": 1,
            "outcomes": OUTCOMES, "risk_bps": risk_bps, "quality_flags": 0, "model": "pool", "model_key": h("model"),
        }  # fmt: skip
        await self.put(PROVISIONAL, ProvisionalPrediction(**fields | changes))

    @contextlib.asynccontextmanager
    async def service(self, wait=True, **settings):
        """The service, running; ready unless told otherwise."""
        process = Process("realtime", Settings(realtime=RealtimeSettings(**settings)), self.clock)
        self.status = process.status
        service = self.realtime(process)
        task = asyncio.create_task(process.live(service.begin))
        try:
            ready = asyncio.create_task(service.finalized.ready.wait())
            if wait:
                await asyncio.wait([ready, task], return_when=asyncio.FIRST_COMPLETED, timeout=20)
                assert ready.done(), task
            yield service
        finally:
            ready.cancel()
            process.stop()
            await task

    def realtime(self, process):
        """The service at the port of this world."""
        bind, settings = f"127.0.0.1:{self.port}", process.settings.realtime
        return Realtime(self.broker, bind, process.clock, process.status, settings)

    @contextlib.asynccontextmanager
    async def client(self, **headers):
        async with connect(
            f"ws://127.0.0.1:{self.port}/ws", additional_headers=headers, compression=None, max_size=None
        ) as ws:
            yield Talk(ws)


class Talk:
    """A connection as a person would use it."""

    def __init__(self, ws):
        self.ws = ws

    async def say(self, **request):
        await self.ws.send(json.dumps(request))

    async def hear(self, seconds=5):
        return json.loads(await asyncio.wait_for(self.ws.recv(), seconds))

    async def hear_op(self, op):
        frame = await self.hear()
        assert frame["op"] == op, frame
        return frame

    async def silent(self, seconds=0.15):
        try:
            frame = await self.hear(seconds)
        except TimeoutError:
            return True
        raise AssertionError(frame)

    async def subscribe(self, *channels, **resume):
        await self.say(
            op="subscribe", id=1, channels=channels, resume={k.replace("__", "."): v for k, v in resume.items()}
        )
        return await self.hear_op("subscribed")
