"""A deployment in memory: a broker, a control key, a clock's key, and the files of two catalogs."""

import dataclasses
import json
import shutil
from pathlib import Path

from m0common.clock import ManualClock
from m0common.deployment import Deployment
from m0common.messages import encode_raw, raw_event
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import CURSORS, RAW
from m0lanes.authority import signed
from m0lanes.control import EPOCH_END, MARKET_OPEN, EpochEndPayload, MarketOpenPayload, NextGeneration
from m0replay.catalog_changes import lanes_of
from m0replay.catalog_desk import CatalogDesk
from m0replay.catalogs import Installed
from solders.keypair import Keypair

PARTITIONS = 8
EPOCH_MS = 20_000
GENESIS = bytes(range(32))
RELEASE = "ab" * 32
CONTROL, CLOCK, REGISTRY = (Keypair.from_seed(bytes([n]) * 32) for n in (1, 2, 3))
DOMAIN = Installed("sports", "m0domains", 1, RELEASE, frozenset({"football"}), frozenset({"match_result", "quote"}))
FILE = """
[catalog]
domain = "sports"
model = "football"
epoch_ms = 20000
horizon_ms = 600000
groups = {groups}
[catalog.sources]
clock = {{ kinds = ["epoch_end"], key = true }}
registry = {{ kinds = ["market_open", "market_close"], key = true, dense = true }}
football = {{ kinds = ["match_result", "quote"], dense = true }}
[catalog.params]
signer_set_id = 1
"""


class World:
    """One deployment; `desk()` is a new desk, as another process would have it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config, self.keys = folder / "config", folder / "keys"
        for directory in (self.config / "markets", self.config / "risk", self.keys):
            directory.mkdir(parents=True)
        for name, key in (("clock", CLOCK), ("registry", REGISTRY)):
            (self.keys / f"{name}.json").write_text(json.dumps(list(bytes(key))))
        self.clock = ManualClock()
        self._opened = 0
        self.broker = MemoryBroker(self.clock)
        self.deployment = Deployment(GENESIS, bytes(CONTROL.pubkey()), PARTITIONS)
        self.groups("sports", "eng.1", "es.1")

    def control(self, *keys: Keypair) -> Path:
        """A folder that holds the files of these keys."""
        folder = self.folder / "control"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for number, key in enumerate(keys):
            (folder / f"{number}.json").write_text(json.dumps(list(bytes(key))))
        return folder

    def groups(self, catalog: str, *groups: str) -> None:
        """Write a catalog's file with these groups."""
        self.write(catalog, FILE.format(groups=json.dumps(groups)))

    def write(self, catalog: str, text: str) -> None:
        (self.config / "markets" / f"{catalog}.toml").write_text(text)

    def guardrails(self, catalog: str, text: str) -> None:
        (self.config / "risk" / f"{catalog}.toml").write_text(text)

    async def desk(self, release: str = RELEASE) -> CatalogDesk:
        """A desk that has read the log, where `release` is installed."""
        await self.broker.create_topics([RAW, CURSORS], PARTITIONS)
        domains = {"sports": dataclasses.replace(DOMAIN, release=release)}
        desk = CatalogDesk(self.broker, self.deployment, self.config, self.keys, domains, self.clock)
        await desk.log.read()
        return desk

    async def mark(self, catalog: str, epoch_id: int) -> None:
        """Write the marker of an epoch as the epoch clock does: naming what is ready."""
        log = (await self.desk()).log
        now, ready = log.control.in_force(catalog), log.control.ready(catalog)
        before = () if now is None else tuple(sorted(set(lanes_of(now.payload).values())))
        after = () if ready is None else tuple(sorted(set(lanes_of(ready.payload).values())))
        marker = EpochEndPayload(
            catalog,
            epoch_id,
            epoch_id * EPOCH_MS,
            (epoch_id + 1) * EPOCH_MS,
            0 if now is None else now.payload.generation,
            before,
            None if ready is None else NextGeneration(ready.payload.generation, ready.hash.hex()),
        )
        await self.say("clock", f"{catalog}:{epoch_id}", EPOCH_END, marker, CLOCK, sorted({*before, *after}))

    async def open_market(self, catalog: str, market: str, group: str, lane: int, key: Keypair = REGISTRY) -> None:
        """Write a market's opening."""
        payload = MarketOpenPayload(catalog, ("HOME", "AWAY"), 1, 0)
        self._opened += 1
        await self.say("registry", f"{market}:open", MARKET_OPEN, payload, key, [lane], group, market, self._opened)

    async def say(self, source, name, kind, payload, key, lanes, group="", market=None, number=0) -> None:
        now = self.clock.now_ms()
        event = raw_event(source, name, group, market, kind, now, now, payload, number)
        value = encode_raw(signed(event, GENESIS, lambda message: bytes(key.sign_message(message))))
        producer = self.broker.producer()
        await producer.start()
        await producer.send([Produce(RAW.name, lane, None, value) for lane in lanes])
        await producer.stop()

    def sets(self, catalog: str) -> dict[int, list[dict]]:
        """Every set of a catalog in the log, as partition → the JSON of its records in order."""
        found = {}
        for partition in range(PARTITIONS):
            events = [json.loads(record.value) for record in self.broker.log(RAW.name, partition)]
            mine = [e for e in events if e["kind"] == "catalog_set" and e["payload"]["catalog"] == catalog]
            if mine:
                found[partition] = mine
        return found
