"""Two processes of ingest on one log: whatever happens to either, the log holds each event once, under the same ids."""

import asyncio
import os
import re
import signal
import time
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
import psycopg
import pytest
from control_world import CLOCK, OTHER, set_value
from ingest_fleet import PARTITIONS, Member
from m0common.messages import RawEvent
from m0common.stream.follow import read_to_end
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.records import Produce
from m0common.topics import RAW, TOPICS
from m0lanes.authority import identity
from m0lanes.control import CatalogSetPayload, DomainRef, SourceRule
from m0lanes.domains import load_domains
from m0lanes.generations import lanes_of
from m0lanes.release import release_of

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(900)]
CONFIG = Path(__file__).parents[3] / "config"
EPOCH_MS = 1_000
LONG = bool(os.environ.get("M0_SOAK"))
PAUSE_S = 60.0 if LONG else 0.0
"""How long a leader that is stopped stays so after its successor has begun."""
ENDS = ("killed", "stopped", "told", "stopped", "killed") if LONG else ("killed", "stopped", "told")
PARTS = {f"leader of {part}" for part in ("epochs", "registry", "history-crypto")}


class Fleet:
    """The servers, the log, and the processes of ingest that a test has begun."""

    def __init__(self, broker, arguments, folder):
        self.broker = broker
        self._arguments = arguments
        self._folder = folder
        self.processes = []

    def begin(self):
        process = Member(self._folder, f"ingest-{len(self.processes)}", *self._arguments)
        self.processes.append(process)
        return process

    async def raw(self):
        return [record async for batch in read_to_end(self.broker, RAW.name) for record in batch]

    async def epochs(self):
        """The epochs of the markers in the log, by lane."""
        found = defaultdict(list)
        for record in await self.raw():
            event = msgspec.json.decode(record.value, type=RawEvent)
            if event.kind == "epoch_end":
                found[record.partition].append(msgspec.json.decode(event.payload)["epoch_id"])
        return found

    async def grows(self, more=3):
        """Wait until so many more epochs have ended."""
        count = max(map(len, (await self.epochs()).values()), default=0)
        async with asyncio.timeout(120):
            while max(map(len, (await self.epochs()).values()), default=0) < count + more:  # noqa: ASYNC110 - a log
                await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    from m0local.testing import index_server, kafka_server

    with (
        kafka_server(tmp_path_factory.mktemp("kafka")) as kafka,
        index_server(tmp_path_factory.mktemp("postgres")) as postgres,
    ):
        yield kafka, postgres


@pytest.fixture
async def fleet(servers, tmp_path):
    from m0local.testing import TestBroker

    kafka, postgres = servers
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("TRUNCATE leases")
    (tmp_path / "config/markets").mkdir(parents=True)
    text = (CONFIG / "markets/crypto.toml").read_text()
    for key, value in (("day_lasts_ms", 2_000_000), ("hold_ms", 5_000), ("lead_ms", 500)):
        text = re.sub(rf"^{key} = \d+", f"{key} = {value}", text, flags=re.MULTILINE)
    (tmp_path / "config/markets/crypto.toml").write_text(text)
    broker = TestBroker(KafkaOptions(kafka.bootstrap, "test"))
    await broker.create_topics(TOPICS, PARTITIONS)
    await define(broker)
    made = Fleet(broker, (kafka.bootstrap, postgres.dsn, tmp_path / "config", "crypto"), tmp_path)
    yield made
    for process in made.processes:
        process.kill()


async def define(broker):
    domain = load_domains()["crypto"]
    payload = CatalogSetPayload(
        catalog="crypto",
        generation=1,
        partitions=PARTITIONS,
        epoch_ms=EPOCH_MS,
        domain=DomainRef(domain.name, "m0domains", domain.version),
        release=release_of(domain).hex(),
        model=next(iter(domain.models)),
        params={},
        horizon_ms=600_000,
        groups=("a", "b", "btc", "c"),
        sources={
            "clock": SourceRule(("epoch_end",), bytes(CLOCK.pubkey()).hex()),
            "registry": SourceRule(("market_close", "market_open"), bytes(OTHER.pubkey()).hex(), dense=True),
            "books": SourceRule(("book",), None, dense=True),
        },
    )
    producer = broker.producer()
    await producer.start()
    await producer.send([Produce(RAW.name, lane, None, set_value(payload)) for lane in lanes_of(payload)])
    await producer.stop()


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - what processes say is watched
            await asyncio.sleep(0.05)


async def check(fleet):
    """Each lane holds an event once, numbers are dense, and every lane has the same epochs, each once, in order."""
    events = defaultdict(list)
    ids = Counter()
    for record in await fleet.raw():
        event = msgspec.json.decode(record.value, type=RawEvent)
        ids[record.partition, identity(event)] += 1
        if event.source_seq:
            events[event.source, event.group].append(event.source_seq)
    assert ids.most_common(1)[0][1] == 1
    for seqs in events.values():
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert events["books", "btc"][0] == 1
    by_lane = await fleet.epochs()
    (epochs,) = {tuple(epochs) for epochs in by_lane.values()}
    assert list(epochs) == sorted(set(epochs))
    return epochs


async def is_standby(process):
    await until(lambda: set(process.says().get("facts", {})) == PARTS and not process.leads() and process.ready())


async def test_killed_stopped_resumed_or_told_to_stop_the_log_is_as_if_one_had_never_ended(fleet):
    leader = fleet.begin()
    await until(lambda: leader.leads() == PARTS)
    standby = fleet.begin()
    await is_standby(standby)
    await fleet.grows()
    for how in ENDS:
        began_s = time.monotonic()
        if how == "told":
            assert leader.stop() == 0
        else:
            leader.signal(signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
        await until(lambda: standby.leads() == PARTS)  # noqa: B023 - called at once
        print(f"{how}: the standby led after {time.monotonic() - began_s:.1f} s")
        await fleet.grows()
        if how == "stopped":
            await asyncio.sleep(PAUSE_S)
            leader.signal(signal.SIGCONT)
            await is_standby(leader)
            await fleet.grows()
        leader, standby = standby, leader if how == "stopped" else fleet.begin()
        await is_standby(standby)
        assert leader.leads() == PARTS
    epochs = await check(fleet)
    print(f"{len(epochs)} epochs of {epochs[-1] - epochs[0] + 1} had a clock")
