"""Puts the parts of ingest together and runs them until told to stop."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from m0common.chain import ChainClient, Registry, idl
from m0common.clock import Clock
from m0common.errors import SettingsError
from m0common.http import Status
from m0common.settings import Settings
from m0common.stream.broker import Broker
from m0common.telemetry.logs import logger
from solders.pubkey import Pubkey

from m0_ingest import catalogs, markets
from m0_ingest.dataset import Dataset
from m0_ingest.epochs import ClockState, EpochClock
from m0_ingest.listing import ChainRegistry, Lister, MarketRegistry, load_registrar
from m0_ingest.open_markets import OpenMarkets
from m0_ingest.registry import RegistryConnector, RegistryState
from m0_ingest.replay import Replayer
from m0_ingest.schedule import ReplayState, Schedule
from m0_ingest.state import StateError, StateFile
from m0_ingest.writer import RawWriter

log = logger(__name__)


class Ingest:
    """All connectors of one process. `config_dir` holds `markets/*.toml`."""

    def __init__(
        self,
        settings: Settings,
        config_dir: Path,
        broker: Broker,
        registry: MarketRegistry,
        clock: Clock,
        status: Status,
    ) -> None:
        if not settings.catalogs:
            raise SettingsError("no catalog is configured: add a [catalogs.NAME] table to the settings file")
        self._settings = settings
        self._clock = clock
        self._state = Path(settings.home) / "state" / "ingest"
        self._writer = RawWriter(broker, clock)
        self._markets = OpenMarkets()
        self._datasets: dict[str, Dataset] = {}
        self._schedules: list[Schedule] = []
        self._replayers: list[Replayer] = []
        self._listers: list[Lister] = []
        for name, catalog in settings.catalogs.items():
            replay = markets.load(config_dir / "markets" / f"{name}.toml", catalog.replay)
            if replay is None:
                continue
            dataset = self._datasets[name] = replay.dataset(name)
            file = StateFile(self._state / f"replay-{name}.json", ReplayState)
            schedule = Schedule(dataset, file, clock, replay.day_lasts_ms, replay.lead_ms, replay.resume_gap_ms)
            self._schedules.append(schedule)
            self._replayers.append(Replayer(name, schedule, self._writer, self._markets, clock, replay.hold_ms))
            self._listers.append(Lister(name, schedule, registry, clock, replay.lead_ms))
        self._clocks = [
            EpochClock(name, catalog, self._writer, clock, StateFile(self._state / f"clock-{name}.json", ClockState))
            for name, catalog in settings.catalogs.items()
        ]
        self._registry = RegistryConnector(
            broker,
            self._writer,
            clock,
            self._markets,
            frozenset(settings.catalogs),
            self._attributes,
            StateFile(self._state / "registry.json", RegistryState),
        )
        status.ready["broker"] = lambda: self._writer.problem
        status.ready["registry"] = lambda: self._registry.problem
        for lister in self._listers:
            status.ready[f"listing of {lister.catalog}"] = lambda lister=lister: lister.problem  # type: ignore[misc]

    def _attributes(self, catalog: str, market_id: str) -> dict[str, str]:
        dataset = self._datasets.get(catalog)
        return {} if dataset is None else dataset.attributes(market_id)

    async def _check_log(self) -> None:
        """Refuse to go on from a state that belongs to another log: the lanes would miss everything sent before."""
        if any(schedule.has_sent() for schedule in self._schedules) and await self._writer.nothing_written():
            raise StateError(
                f"m0.raw is empty, but {self._state} says that events were written: restore the topic, or delete that "
                "folder to begin anew"
            )

    async def run(self) -> None:
        """Announce the catalogs, finish what an earlier life left undone, then run every task until cancelled.

        When one task fails all stop and its error is raised.
        """
        await self._writer.start()
        try:
            await self._check_log()
            self._registry.start()
            for name, catalog in self._settings.catalogs.items():
                dataset = self._datasets.get(name)
                groups = () if dataset is None else dataset.groups
                await catalogs.announce(catalogs.catalog_payload(name, catalog, groups), self._writer, self._clock)
            for schedule in self._schedules:
                if await schedule.start():
                    log.info("replay goes on where it was, after a long stop", cursor=schedule.state.cursor)
            for clock in self._clocks:
                await clock.start()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._registry.run(), name="registry")
                for clock in self._clocks:
                    group.create_task(clock.run(), name=f"clock of {clock.name}")
                for lister in self._listers:
                    group.create_task(lister.run(), name=f"listing of {lister.catalog}")
                for replayer in self._replayers:
                    group.create_task(replayer.run(), name=f"replay of {replayer.catalog}")
        finally:
            await self._writer.stop()


def chain_registry(settings: Settings, stack: AsyncExitStack) -> ChainRegistry:
    """The registry program of the settings, with the registrar's key. Raises SettingsError when either is missing."""
    program_id = settings.solana.registry_program_id
    if not program_id:
        raise SettingsError("registry_program_id is empty: set M0_REGISTRY_PROGRAM_ID to the deployed program")
    program = Pubkey.from_string(program_id)
    client = ChainClient(settings.solana.rpc_url, idls={program: idl.registry()})
    stack.push_async_callback(client.close)
    registrar = load_registrar(Path(settings.keys_dir))
    return ChainRegistry(client, Registry(program), registrar, top_up=settings.solana.cluster == "localnet")
