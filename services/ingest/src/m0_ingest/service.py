"""Puts the parts of ingest together and runs them until told to stop."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from m0chain import ChainClient, ChainError, Programs, Registry, node_client
from m0chain.keyfile import plain_key
from m0common.clock import Clock, SlewedClock
from m0common.deployment import Deployment
from m0common.errors import SettingsError
from m0common.http import Status
from m0common.settings import Catalog, Settings
from m0common.side import SideTasks
from m0common.stream.broker import Broker
from m0common.telemetry.logs import logger
from m0domains.history import Dataset
from m0lanes.port import Domain
from m0replay.control_log import ControlLog
from solders.keypair import Keypair

from m0_ingest import connectors, metrics
from m0_ingest.chain_time import ChainTime, ChainWatch
from m0_ingest.control import ControlFollower
from m0_ingest.epochs import RATE_DIVISOR, EpochClock
from m0_ingest.listing import ChainRegistry, Lister, MarketRegistry
from m0_ingest.open_markets import OpenMarkets
from m0_ingest.registry import RegistryConnector, RegistryState
from m0_ingest.replay import Replayer, SeasonRequest
from m0_ingest.schedule import ReplayState, Schedule
from m0_ingest.state import StateError, StateFile
from m0_ingest.turns import Turns
from m0_ingest.writer import RawWriter

CHAIN_LOOK_S = 10.0

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Keys:
    """What ingest signs with: markers, and markets as the registry has them."""

    clock: Keypair
    registry: Keypair

    @classmethod
    def load(cls, folder: Path) -> "Keys":
        """`clock.json` and `registry.json` in `folder`. Raises SettingsError naming the file."""
        return cls(plain_key(folder / "clock.json"), plain_key(folder / "registry.json"))


@dataclass(frozen=True, slots=True)
class Feed:
    """What a catalog is fed with."""

    catalog: str
    connector: connectors.Connector
    domain: Domain
    dataset: Dataset


class Ingest:
    """All connectors of one process. `config_dir` holds `markets/*.toml`, `domains` are those installed, by name."""

    def __init__(
        self,
        settings: Settings,
        config_dir: Path,
        broker: Broker,
        registry: MarketRegistry,
        keys: Keys,
        domains: Mapping[str, Domain],
        clock: Clock,
        status: Status,
        chain: ChainTime | None = None,
    ) -> None:
        if not settings.catalogs:
            raise SettingsError("no catalog is configured: add a [catalogs.NAME] table to the settings file")
        deployment = Deployment.of(settings)
        self._settings = settings
        self._deployment = deployment
        self._broker = broker
        self._chain_registry = registry
        self._keys = keys
        self._clock = clock
        self._status = status
        self._state = Path(settings.home) / "state" / "ingest"
        self._writer = RawWriter(broker, deployment.partitions)
        self._control = ControlLog(deployment)
        self._follower = ControlFollower(broker, self._control, deployment.partitions)
        self._watch = ChainWatch(chain)
        self._side = SideTasks()
        self._feeds = {
            name: feed for name in settings.catalogs if (feed := _feed(name, config_dir, domains)) is not None
        }
        status.ready["broker"] = lambda: self._writer.problem
        status.ready["control records"] = lambda: self._follower.problem
        status.ready["clock"] = lambda: self._watch.problem
        status.notes["side tasks"] = self._side.notes

    async def run(self) -> None:
        """Read the log's control records, begin the epoch clock, then run every task until cancelled.

        The looks at the chain's clock may fail alone; when another task fails all stop and its error is raised.
        """
        await Turns("broker", self._connect).once()
        try:
            await Turns("broker", self._check_log).once()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follower.run(), name="control records")
                await self._follower.caught_up.wait()
                clock = await self._begin_clock()
                group.create_task(self._side.run("clocks", partial(self._look_at_clocks, clock)), name="clocks")
                connector, tasks = self._parts(clock)
                group.create_task(connector.run(), name="registry")
                for task in tasks:
                    group.create_task(task.run(), name=task.name)
        finally:
            await self._writer.stop()

    async def _connect(self) -> int:
        await self._writer.start()
        return 0

    async def _check_log(self) -> int:
        """Refuse to go on from a state that belongs to another log: the lanes would miss everything sent before."""
        replays = (self._schedule_file(name).load() for name in self._feeds)
        registry = self._registry_file().load()
        has_sent = any(state is not None and state.has_sent() for state in replays)
        if (has_sent or (registry is not None and registry.open)) and await self._writer.nothing_written():
            raise StateError(
                f"m0.raw is empty, but {self._state} says that events were written: restore the topic, or delete that "
                "folder to begin anew"
            )
        return 0

    async def _begin_clock(self) -> SlewedClock:
        """A clock that begins behind the newest marker; waits as long as the chain says that the time is wrong."""
        newest = [self._control.newest(catalog) for catalog in self._control.catalogs()]
        not_before_ms = max((marker.payload.window_end_ms for marker in newest if marker is not None), default=0)
        while not await self._watch.agrees(max(not_before_ms, self._clock.now_ms())):
            log.warning("epochs wait for the right time", reason=self._watch.problem)
            await asyncio.sleep(CHAIN_LOOK_S)
        return SlewedClock(self._clock, RATE_DIVISOR, not_before_ms)

    async def _look_at_clocks(self, clock: SlewedClock) -> None:
        while True:
            await self._watch.agrees(clock.now_ms())
            metrics.CLOCK_AHEAD_SECONDS.set(clock.ahead_ms() / 1000)
            await asyncio.sleep(CHAIN_LOOK_S)

    def _parts(self, clock: Clock) -> tuple[RegistryConnector, list[Turns]]:
        """What runs once there is a clock."""
        status, genesis_hash, markets = self._status, self._deployment.genesis_hash, OpenMarkets()
        epochs = EpochClock(self._control, self._writer, clock, self._keys.clock, genesis_hash, self._lateness_ms)
        status.ready["epochs"] = epochs.problem
        status.notes["epochs"] = epochs.note
        connector = RegistryConnector(
            self._broker,
            self._writer,
            clock,
            self._control,
            self._keys.registry,
            genesis_hash,
            markets,
            self._attributes,
            self._registry_file(),
        )
        connector.start()
        status.ready["registry"] = lambda: connector.problem
        tasks = [Turns("epochs", epochs.turn)]
        for feed in self._feeds.values():
            tasks += self._replay(feed, markets, clock)
        return connector, tasks

    def _replay(self, feed: Feed, markets: OpenMarkets, clock: Clock) -> list[Turns]:
        name, settings = feed.catalog, feed.connector
        schedule = Schedule(
            feed.dataset,
            self._schedule_file(name),
            clock,
            settings.day_lasts_ms,
            settings.lead_ms,
            settings.resume_gap_ms,
        )
        replayer = Replayer(
            name,
            settings.connector,
            feed.domain,
            schedule,
            self._writer,
            self._control,
            markets,
            clock,
            settings.hold_ms,
            StateFile(self._state / f"season-{name}.json", SeasonRequest),
        )
        lister = Lister(name, schedule, self._chain_registry, replayer.named, clock, settings.lead_ms)
        self._status.notes[f"replay of {name}"] = lambda: replayer.note
        self._status.ready[f"listing of {name}"] = lambda: lister.problem
        return [Turns(f"replay of {name}", replayer.turn), Turns(f"listing of {name}", lister.turn)]

    def _schedule_file(self, catalog: str) -> StateFile[ReplayState]:
        return StateFile(self._state / f"replay-{catalog}.json", ReplayState)

    def _registry_file(self) -> StateFile[RegistryState]:
        return StateFile(self._state / "registry.json", RegistryState)

    def _lateness_ms(self, catalog: str) -> int:
        return self._settings.catalogs.get(catalog, Catalog()).lateness_ms

    def _attributes(self, catalog: str, market_id: str) -> dict[str, str]:
        feed = self._feeds.get(catalog)
        listing = None if feed is None else feed.dataset.find(market_id)
        return {} if listing is None else listing.attributes


def _feed(name: str, config_dir: Path, domains: Mapping[str, Domain]) -> Feed | None:
    connector = connectors.load(config_dir / "markets" / f"{name}.toml")
    if connector is None:
        return None
    domain = domains.get(connector.domain)
    if domain is None:
        known = ", ".join(sorted(domains)) or "none"
        raise SettingsError(
            f"connector {connector.connector} of {name} needs domain {connector.domain}, which is not installed "
            f"(installed: {known}): install the package that has it"
        )
    return Feed(name, connector, domain, connector.dataset())


class Chain:
    """The time of a Solana node."""

    def __init__(self, client: ChainClient) -> None:
        self._client = client

    async def chain_time(self) -> int | None:
        """See ChainTime."""
        try:
            return (await self._client.chain_time()).unix_ms
        except ChainError:
            return None


def chain_parts(settings: Settings, stack: AsyncExitStack) -> tuple[ChainRegistry, Chain]:
    """The registry program of the settings, with the registrar's key, and the chain's clock.

    Raises SettingsError when a program or the key is missing.
    """
    programs = Programs.of(settings)
    client = node_client(settings.solana, programs)
    stack.push_async_callback(client.close)
    registrar = plain_key(Path(settings.keys_dir) / "registrar.json")
    top_up = settings.solana.cluster == "localnet"
    return ChainRegistry(client, Registry(programs.registry), registrar, top_up=top_up), Chain(client)
