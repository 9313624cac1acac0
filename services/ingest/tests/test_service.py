"""The whole of ingest on a log in memory: the lanes' first stage takes what it writes without one dead letter."""

import asyncio
import pathlib
import re
import shutil
from collections import Counter

import msgspec
import pytest
from control_world import CLOCK, CONTROL, GENESIS, OTHER, set_value
from ingest_world import PARTITIONS
from m0_ingest.service import Ingest, Keys, LogLost
from m0common.clock import SystemClock
from m0common.deployment import Deployment
from m0common.errors import SettingsError
from m0common.leases.memory import MemoryLeases
from m0common.messages import LaneMessage, MarketOutcome, RawEvent, RegistryMarket, encode
from m0common.process import Process
from m0common.settings import Catalog, Settings
from m0common.stream.core import Letter
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import NORMALIZED, OUTCOMES, RAW, REGISTRY, TOPICS
from m0lanes.control import CatalogSetPayload, DomainRef, SourceRule
from m0lanes.domains import load_domains
from m0lanes.generations import lanes_of
from m0lanes.normalize import NormalizeCore
from m0lanes.release import release_of, releases

CONFIG = pathlib.Path(__file__).parents[3] / "config"
GROUPS = {"sports": ("at.1", "de.1", "eng.1", "es.1", "it.1"), "crypto": ("btc",)}
KINDS = {"sports": ("football", "match_result"), "crypto": ("books", "book")}
DEPLOYMENT = Deployment(GENESIS, bytes(CONTROL.pubkey()), PARTITIONS)


class Chain:
    """Stands for chain and indexer: what is created appears in the registry topic a moment later."""

    def __init__(self, broker):
        self._producer = broker.producer()
        self.created = []

    async def create(self, market):
        if market.market_id in self.created:
            return False
        self.created.append(market.market_id)
        await asyncio.sleep(0.01)
        record = RegistryMarket(
            market.market_id,
            market.catalog,
            market.group,
            market.title,
            market.outcomes,
            "ACTIVE",
            1,
            market.opens_ms,
            market.resolves_after_ms,
            None,
            len(self.created),
        )
        await self._producer.send([Produce(REGISTRY.name, 0, market.market_id.encode(), encode(record))])
        return True


def catalog_set(catalog, generation=1, groups=None):
    domain = load_domains()[catalog]
    source, kind = KINDS[catalog]
    return CatalogSetPayload(
        catalog=catalog,
        generation=generation,
        partitions=PARTITIONS,
        epoch_ms=1_000,
        domain=DomainRef(domain.name, "m0domains", domain.version),
        release=release_of(domain).hex(),
        model=next(iter(domain.models)),
        params={},
        horizon_ms=600_000,
        groups=groups or GROUPS[catalog],
        sources={
            "clock": SourceRule(("epoch_end",), bytes(CLOCK.pubkey()).hex()),
            "registry": SourceRule(("market_close", "market_open"), bytes(OTHER.pubkey()).hex(), dense=True),
            source: SourceRule((kind,), None, dense=True),
        },
    )


async def put(broker, *payloads):
    messages = [Produce(RAW.name, lane, None, set_value(p)) for p in payloads for lane in lanes_of(p)]
    await broker.producer().send(messages)


def settings():
    return Settings.model_validate(
        {
            "deployment": {"genesis_hash": GENESIS.hex(), "control_key": bytes(CONTROL.pubkey()).hex()},
            "kafka": {"partitions": PARTITIONS},
            "postgres": {"lease_ms": 1000},
            "catalogs": {name: Catalog(lateness_ms=100) for name in GROUPS},
        }
    )


@pytest.fixture
def config(tmp_path):
    """Our own settings, played faster: a week of football lasts 0.7 s, a quarter of an hour of books as long."""
    folder = tmp_path / "config"
    shutil.copytree(CONFIG / "markets", folder / "markets")
    for name, day_lasts_ms in (("sports", 100), ("crypto", 40_000)):
        path = folder / "markets" / f"{name}.toml"
        text = path.read_text()
        for key, value in (("day_lasts_ms", day_lasts_ms), ("hold_ms", 5_000), ("lead_ms", 500)):
            text = re.sub(rf"^{key} = \d+", f"{key} = {value}", text, flags=re.MULTILINE)
        path.write_text(text)
    return folder


@pytest.fixture
async def broker():
    made = MemoryBroker()
    await made.create_topics(TOPICS, PARTITIONS)
    return made


async def run(process, broker, chain, config, chain_time=None):
    """Ingest until the process is stopped; raises what ends it."""
    keys, leases = Keys(CLOCK, OTHER), MemoryLeases(process.clock)
    ingest = Ingest(process, config, broker, leases, chain, keys, load_domains(), chain_time)

    async def compose(_process):
        await ingest.begin()

    await process.live(compose)


async def live(broker, chain, config, done, chain_time=None):
    """One run of ingest, until `done` of what is wrong; returns what is noted then."""
    process = Process("ingest", settings(), SystemClock())
    status, task = process.status, asyncio.create_task(run(process, broker, chain, config, chain_time))
    async with asyncio.timeout(100):
        while not done([problem for check in status.ready.values() if (problem := check()) is not None]):
            assert not task.done()
            await asyncio.sleep(0.1)
    notes = [note for check in status.notes.values() if (note := check()) is not None]
    process.stop()
    await task
    return notes


def took_in(broker, times):
    """When every lane has so many markers, and every catalog a market."""

    def done(problems):
        kinds, _, _ = normalized(broker)
        opened = all(kinds[catalog, "market_opened"] for catalog in GROUPS)
        marked = all(kinds[name, "marker"] >= times * len(lanes_of(catalog_set(name))) for name in GROUPS)
        return not problems and opened and marked

    return done


def normalized(broker):
    """`(catalog, kind)` of what the first stage says of the log, its dead letters, and what it dropped."""
    core = NormalizeCore(DEPLOYMENT, releases(load_domains()), bytes(32))
    decoder = msgspec.msgpack.Decoder(LaneMessage)
    kinds, letters = Counter(), []
    for partition in range(PARTITIONS):
        for record in broker.log(RAW.name, partition):
            for output in core.feed(record):
                if isinstance(output, Letter):
                    letters.append(output.error)
                elif isinstance(output, Produce) and output.topic == NORMALIZED.name:
                    message = decoder.decode(output.value)
                    kinds[message.catalog, message.kind] += 1
    return kinds, letters, core.drops


def raw_events(broker):
    logs = [broker.log(RAW.name, partition) for partition in range(PARTITIONS)]
    return [msgspec.json.decode(record.value, type=RawEvent) for log in logs for record in log]


async def test_two_lives_of_ingest_feed_the_lanes_without_a_dead_letter(broker, config):
    chain = Chain(broker)
    await put(broker, catalog_set("sports"), catalog_set("crypto"))
    for times in (3, 6):
        await live(broker, chain, config, took_in(broker, times))
    kinds, letters, drops = normalized(broker)
    assert letters == []
    assert {reason for _, reason in drops} <= {"repeat"}
    for catalog in GROUPS:
        assert kinds[catalog, "generation"] == len(lanes_of(catalog_set(catalog)))
        assert kinds[catalog, "marker"] >= 3 * len(lanes_of(catalog_set(catalog)))
        assert kinds[catalog, "market_opened"] >= 1
    events = raw_events(broker)
    opened = {event.market_id for event in events if event.kind == "market_open"}
    assert opened <= set(chain.created)
    observed = {event.market_id for event in events if event.kind in {"match_result", "book"}}
    assert observed - {None} <= opened
    numbers = {(event.group, event.source_seq) for event in events if event.kind == "match_result"}
    for group in GROUPS["sports"]:
        seqs = sorted(seq for name, seq in numbers if name == group)
        assert seqs == list(range(1, len(seqs) + 1))
    logs = [broker.log(OUTCOMES.name, partition) for partition in range(PARTITIONS)]
    outcomes = [msgspec.msgpack.decode(record.value, type=MarketOutcome) for log in logs for record in log]
    assert {event.market_id for event in events if event.kind == "match_result"} - {None} <= {
        outcome.market_id for outcome in outcomes
    }


async def test_before_anybody_sets_a_catalog_nothing_is_sent_and_ingest_is_ready(broker, config):
    chain = Chain(broker)
    notes = await live(broker, chain, config, lambda problems: not problems)
    assert any("season 1 begins when the set in force of sports names at.1, de.1" in note for note in notes)
    assert raw_events(broker) == []
    assert chain.created == []


class BrokenKey(Chain):
    """Whose markets nobody can sign for one catalog."""

    async def create(self, market):
        if market.catalog == "sports":
            raise RuntimeError("ThrottlingException: rate exceeded")
        return await super().create(market)


async def test_a_listing_that_fails_for_any_reason_is_said_and_everything_else_goes_on(broker, config):
    chain, process = BrokenKey(broker), Process("ingest", settings(), SystemClock())
    status = process.status
    await put(broker, catalog_set("sports"), catalog_set("crypto"))
    task = asyncio.create_task(run(process, broker, chain, config))
    async with asyncio.timeout(60):
        while not (chain.created and _markers(broker) > 2 and _said(status.ready, "listing of sports")):
            assert not task.done()
            await asyncio.sleep(0.05)
    assert "RuntimeError: ThrottlingException" in _said(status.ready, "listing of sports")
    assert _said(status.ready, "listing of crypto") is None
    process.stop()
    await task


def _markers(broker):
    return sum(event.kind == "epoch_end" for event in raw_events(broker))


def _said(checks, name):
    return checks[name]() if name in checks else None


class FarChain:
    async def chain_time(self):
        return SystemClock().now_ms() + 120_000


async def test_no_epoch_ends_while_the_chain_says_that_the_time_is_wrong(broker, config):
    await put(broker, catalog_set("sports"))
    far = lambda problems: any("more than 60 s apart" in problem for problem in problems)  # noqa: E731
    await live(broker, Chain(broker), config, far, FarChain())
    assert {event.kind for event in raw_events(broker)} == {"catalog_set"}


async def test_cursors_that_belong_to_another_log_are_refused_with_the_remedy(broker, config):
    await put(broker, catalog_set("sports"))
    await live(broker, Chain(broker), config, lambda _: any(e.kind == "market_open" for e in raw_events(broker)))
    del broker.logs.topics[RAW.name]
    await broker.create_topics([RAW], PARTITIONS)
    with pytest.raises(LogLost, match=r"restore the topic, or delete m0\.cursors\.v1 too to begin anew"):
        await run(Process("ingest", settings(), SystemClock()), broker, Chain(broker), config)


async def test_another_count_of_partitions_is_refused(config):
    broker = MemoryBroker()
    await broker.create_topics(TOPICS, PARTITIONS // 2)
    with pytest.raises(SettingsError, match=r"m0\.raw\.v1 has 4 partitions and 8 are configured"):
        await run(Process("ingest", settings(), SystemClock()), broker, Chain(broker), config)


def refused(broker, config, told):
    process = Process("ingest", told, SystemClock())
    return Ingest(process, config, broker, MemoryLeases(process.clock), Chain(broker), Keys(CLOCK, OTHER), {})


async def test_a_connector_whose_domain_is_not_installed_names_it(broker, config):
    with pytest.raises(SettingsError, match=r"football of sports needs domain sports, .* \(installed: none\)"):
        refused(broker, config, settings())


def test_keys_come_from_files_that_are_named_when_they_are_missing(tmp_path):
    with pytest.raises(SettingsError, match=r"clock\.json"):
        Keys.load(tmp_path)
    for name, key in (("clock", CLOCK), ("registry", OTHER)):
        (tmp_path / f"{name}.json").write_text(str(list(bytes(key))))
    assert Keys.load(tmp_path) == Keys(CLOCK, OTHER)
