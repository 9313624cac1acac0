"""Puts the parts of ingest together and runs each of them whenever it is this process's turn."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from m0chain.keyfile import plain_key
from m0common.clock import SlewedClock
from m0common.cursors import Cursors
from m0common.deployment import Deployment
from m0common.errors import Fenced, M0Error, Unavailable
from m0common.http import Check
from m0common.leases.candidate import Candidate, holder_name
from m0common.leases.port import Leases
from m0common.process import Process
from m0common.settings import Catalog
from m0common.stream.broker import Broker
from m0common.stream.partition import refuse_other_count
from m0common.stream.retry import Retry
from m0common.telemetry.logs import logger
from m0common.topics import CURSORS, OUTCOMES, RAW
from m0lanes.port import Domain
from m0replay.control_log import ControlLog
from solders.keypair import Keypair

from m0_ingest import metrics
from m0_ingest.chain_time import ChainTime, ChainWatch
from m0_ingest.epochs import RATE_DIVISOR, EpochClock
from m0_ingest.feeds import Feed, feed_of
from m0_ingest.history_player import HISTORY, HistoryPlayer
from m0_ingest.listing import LISTING, Lister, ListingState, MarketRegistry
from m0_ingest.log import LogFollower
from m0_ingest.part import Part, Run
from m0_ingest.registry import RegistryConnector
from m0_ingest.registry_cursors import MARKET, OpenMarket, is_open
from m0_ingest.schedule import HistoryState, Schedule
from m0_ingest.turns import take_turns
from m0_ingest.writer import ConnectorWriter

CHAIN_LOOK_S = 10.0

log = logger(__name__)


class LogLost(M0Error):
    """`m0.raw` does not hold what `m0.cursors` says was written; the message names the remedy."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What ingest signs with: markers, and markets as the registry has them."""

    clock: Keypair
    registry: Keypair

    @classmethod
    def load(cls, folder: Path) -> "Keys":
        """`clock.json` and `registry.json` in `folder`. Raises SettingsError naming the file."""
        return cls(plain_key(folder / "clock.json"), plain_key(folder / "registry.json"))


class Ingest:
    """All parts of one process. `config_dir` holds `markets/*.toml`, `domains` are those installed, by name."""

    def __init__(
        self,
        process: Process,
        config_dir: Path,
        broker: Broker,
        leases: Leases,
        registry: MarketRegistry,
        keys: Keys,
        domains: Mapping[str, Domain],
        chain: ChainTime | None = None,
    ) -> None:
        settings, status = process.settings, process.status
        self._process = process
        self._settings = settings
        self._deployment = Deployment.of(settings)
        self._broker = broker
        self._leases = leases
        self._chain_registry = registry
        self._keys = keys
        self._clock = process.clock
        self._status = status
        self._holder = holder_name()
        self._control = ControlLog(self._deployment)
        self._cursors = Cursors()
        self._follower = LogFollower(broker, self._control, self._cursors, self._deployment.partitions)
        self._retry = Retry("ingest", metrics.RETRIES.labels("broker").inc)
        self._watch = ChainWatch(chain)
        self._epoch_clock: SlewedClock | None = None
        self._feeds = {
            name: feed for name in settings.catalogs if (feed := feed_of(name, config_dir, domains)) is not None
        }
        self._parts = [self._part("epochs", self._run_epochs), self._part("registry", self._run_registry)]
        self._parts += [
            self._part(f"history-{name}", partial(self._play_history, feed)) for name, feed in self._feeds.items()
        ]
        status.ready["broker"] = lambda: self._retry.problem
        status.ready["control records"] = lambda: self._follower.problem
        status.ready["clock"] = lambda: self._watch.problem

    def _part(self, name: str, run: Run) -> Part:
        candidate = Candidate(
            self._leases,
            f"ingest-{name}",
            self._holder,
            self._settings.postgres.lease_ms,
            self._clock,
            fenced_elsewhere=True,  # by the writer's transactional id
        )
        writer = ConnectorWriter(self._broker, name, self._deployment.partitions)
        part = Part(name, candidate, self._follower, writer, run)
        self._status.ready[f"part {name}"] = part.problem
        self._status.notes[f"lease {name}"] = candidate.note
        self._status.facts[f"leader of {name}"] = candidate.says
        return part

    async def begin(self) -> None:
        """Follow the log, and run every part whenever it is this process's turn.

        The looks at the chain's clock and the listing of markets may fail alone.
        """
        process = self._process
        with process.waits("Kafka"):
            for topic in (RAW, OUTCOMES, CURSORS):
                found = await self._retry.run(partial(self._broker.partitions, topic.name))
                refuse_other_count(topic, found, self._deployment.partitions)
        process.task("log", self._follower.run)
        with process.waits("the end of the log"):
            await self._follower.caught_up.wait()
            await self._check_log()
        process.side("clocks", self._look_at_clocks)
        for part in self._parts:
            process.task(f"part {part.name}", part.run)

    async def _check_log(self) -> None:
        """Refuse to go on from cursors that belong to another log: the lanes would miss everything sent before."""
        histories = [self._cursors.get(HISTORY + name, HistoryState) for name in self._feeds]
        has_sent = any(state is not None and state.has_sent() for state in histories)
        if not has_sent and not any(self._cursors.under(MARKET, OpenMarket)):
            return
        ends = await self._retry.run(self._follower.reach_end)
        if not any(end for place, end in ends.items() if place.topic == RAW.name):
            raise LogLost(
                f"{RAW.name} is empty, but {CURSORS.name} says that events were written: restore the topic, or delete "
                f"{CURSORS.name} too to begin anew"
            )

    async def _begin_clock(self) -> SlewedClock:
        """A clock that begins behind the newest marker; waits as long as the chain says that the time is wrong."""
        not_before_ms = max(map(self._control.last_end_ms, self._control.catalogs()), default=0)
        while not await self._watch.agrees(max(not_before_ms, self._clock.now_ms())):
            log.warning("epochs wait for the right time", reason=self._watch.problem)
            await asyncio.sleep(CHAIN_LOOK_S)
        return SlewedClock(self._clock, RATE_DIVISOR, not_before_ms)

    async def _look_at_clocks(self) -> None:
        while True:
            clock = self._epoch_clock
            await self._watch.agrees((clock or self._clock).now_ms())
            metrics.CLOCK_AHEAD_SECONDS.set(0 if clock is None else clock.ahead_ms() / 1000)
            await asyncio.sleep(CHAIN_LOOK_S)

    async def _run_epochs(self, writer: ConnectorWriter) -> None:
        clock = self._epoch_clock = await self._begin_clock()
        genesis_hash = self._deployment.genesis_hash
        epochs = EpochClock(self._control, writer, clock, self._keys.clock, genesis_hash, self._lateness_ms)
        try:
            with (
                _shown(self._status.ready, "epochs", epochs.problem),
                _shown(self._status.notes, "epochs", epochs.note),
            ):
                await take_turns(epochs.turn)
        finally:
            self._epoch_clock = None

    async def _run_registry(self, writer: ConnectorWriter) -> None:
        connector = RegistryConnector(
            self._broker,
            writer,
            await self._begin_clock(),
            self._control,
            self._keys.registry,
            self._deployment.genesis_hash,
            self._attributes,
            self._cursors,
        )
        with _shown(self._status.ready, "registry", lambda: connector.problem):
            await connector.run()

    async def _play_history(self, feed: Feed, writer: ConnectorWriter) -> None:
        name, settings, clock = feed.catalog, feed.connector, await self._begin_clock()
        schedule = Schedule(
            feed.dataset,
            self._cursors.get(HISTORY + name, HistoryState) or HistoryState(),
            clock,
            settings.day_lasts_ms,
            settings.lead_ms,
            settings.resume_gap_ms,
        )
        player = HistoryPlayer(
            name,
            settings.connector,
            feed.domain,
            schedule,
            writer,
            self._control,
            partial(is_open, self._cursors),
            clock,
            settings.hold_ms,
            self._cursors,
        )
        listed = self._cursors.get(LISTING + name, ListingState)
        lister = Lister(name, schedule, listed, writer, self._chain_registry, player.named, clock, settings.lead_ms)
        with (
            _shown(self._status.notes, f"history of {name}", lambda: player.note),
            _shown(self._status.ready, f"listing of {name}", lambda: lister.problem),
            _shown(self._status.notes, f"listing of {name}", lambda: lister.note),
        ):
            await take_turns(player.turn, partial(self._list, name, lister))

    async def _list(self, catalog: str, lister: Lister) -> NoReturn:
        """List a catalog's markets. Raises what is no fault of the listing: Unavailable and Fenced."""
        process = self._process
        await process.alone(f"listing of {catalog}", partial(take_turns, lister.turn), (Unavailable, Fenced))

    def _lateness_ms(self, catalog: str) -> int:
        return self._settings.catalogs.get(catalog, Catalog()).lateness_ms

    def _attributes(self, catalog: str, market_id: str) -> dict[str, str]:
        feed = self._feeds.get(catalog)
        listing = None if feed is None else feed.dataset.find(market_id)
        return {} if listing is None else listing.attributes


@contextlib.contextmanager
def _shown(checks: dict[str, Check], name: str, check: Check) -> Iterator[None]:
    """A check of what runs only now and then, for as long as it does."""
    checks[name] = check
    try:
        yield
    finally:
        del checks[name]
