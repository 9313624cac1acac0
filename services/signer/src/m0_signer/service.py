"""The signer put together."""

import contextlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from m0chain import Connection, EventParser, Programs, Subscriptions
from m0chain.keystore import KeyStore
from m0common.process import Process
from m0common.settings import Settings
from m0common.stream.broker import Broker
from m0common.telemetry.logs import logger
from m0lanes.stages import Heart

from m0_signer.bundle_depth import BundleDepth
from m0_signer.chain import ChainPort
from m0_signer.depth import Depth
from m0_signer.desk import Desk
from m0_signer.guard import Guard
from m0_signer.published import published_states
from m0_signer.raw_depth import RawDepth
from m0_signer.read import Claims, Computing, Reader
from m0_signer.report import Reporter
from m0_signer.runner import Pace, Runner
from m0_signer.workers.link import Launch, launch_process

_log = logger(__name__)


def guard_path(config: Settings) -> Path:
    """Where the guard of this signer lies."""
    return Path(config.home) / "signer" / f"{config.signer.name}.guard"


@dataclass(slots=True)
class Signer:
    """Everything that runs."""

    deployed: Programs
    heart: Heart
    broker: Broker
    chain: ChainPort
    key: KeyStore
    guard: Guard
    subscriptions: Subscriptions | None = None
    pace: Pace | None = None
    launch: Launch = launch_process

    async def begin(self, process: Process) -> None:
        """Begin its tasks. To report and to listen to the chain may fail alone: signing does not wait for them."""
        status, reporter = process.status, Reporter(self.broker)
        runner = Runner(self.guard, self.chain, self.key, process.clock, reporter.put, self.pace)
        process.closes("the epochs in flight", runner.stop)
        desk = Desk(self.guard, self.chain, self.key, process.clock, runner.start, reporter.put)
        depth = self._depth(process.settings)
        desk.attach(depth)
        every_ms = process.settings.stage.checkpoint_interval_ms
        sources = (Claims(desk, depth.catalogs), Computing(depth, desk, every_ms))
        claims, computing = (Reader(self.broker, source) for source in sources)
        for reader in (claims, computing):
            status.ready[reader.topic] = lambda reader=reader: reader.problem  # type: ignore[misc]
        status.ready["chain"] = desk.problem
        status.health["lanes"] = depth.problem
        status.notes["lanes"] = depth.notes
        status.notes["headers"] = desk.notes
        for decision in await self.guard.unfinished():
            _log.info("resumed", catalog=decision.catalog, epoch_id=decision.epoch_id)
            runner.start(decision)
        process.task("chain", partial(desk.run, depth.catalogs))
        process.task("headers", claims.run)
        process.task("lanes", computing.run)
        process.side("report", reporter.run)
        if self.subscriptions is not None:
            process.side("listen", partial(self._listen, self.subscriptions, runner))

    def _depth(self, config: Settings) -> Depth:
        published = partial(published_states, self.broker, self.chain, self.heart)
        database, catalogs = self.guard.database, config.catalogs
        if config.signer.depth == "raw":
            return RawDepth(self.heart, self.launch, config.signer.workers, database, catalogs, published)
        return BundleDepth(self.heart, self.broker, database, catalogs, published)

    async def _listen(self, subscriptions: Subscriptions, runner: Runner) -> None:
        """Wake an epoch as soon as something happens to it; polling catches what this misses."""
        parser = EventParser(self.deployed.oracle, self.deployed.registry)
        async with contextlib.aclosing(subscriptions.logs(self.deployed.oracle)) as notices:
            async for notice in notices:
                if isinstance(notice, Connection):
                    runner.wake_all()
                    continue
                if notice.failed or not runner.in_flight:
                    continue
                for logged in parser.parse(notice.logs).events:
                    catalog = getattr(logged.event, "catalog", None)
                    epoch_id = getattr(logged.event, "epoch_id", None)
                    if isinstance(catalog, str) and isinstance(epoch_id, int):
                        runner.wake(catalog, epoch_id)
