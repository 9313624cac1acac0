"""The signer put together."""

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from m0chain import ChainClient, Connection, EventParser, Programs, Sender, Subscriptions
from m0chain.keystore import KeyStore
from m0common.clock import Clock
from m0common.http import Status
from m0common.settings import Settings
from m0common.side import SideTasks
from m0common.stream.broker import Broker
from m0common.telemetry.logs import logger
from m0lanes.stages import Heart

from m0_signer.bundle_depth import BundleDepth
from m0_signer.chain import ChainPort, RpcChain
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


def rpc_chain(client: ChainClient, sender: Sender, deployed: Programs, key: KeyStore) -> RpcChain:
    """The chain as this signer uses it."""
    return RpcChain(client, sender, deployed.oracle, key)


@dataclass(slots=True)
class Signer:
    """Everything that runs."""

    config: Settings
    deployed: Programs
    heart: Heart
    broker: Broker
    chain: ChainPort
    key: KeyStore
    guard: Guard
    clock: Clock
    status: Status
    subscriptions: Subscriptions | None = None
    pace: Pace | None = None
    launch: Launch = launch_process

    async def run(self) -> None:
        """Until cancelled. To report and to listen to the chain may fail alone: signing does not wait for them."""
        reporter, side = Reporter(self.broker), SideTasks()
        runner = Runner(self.guard, self.chain, self.key, self.clock, reporter.put, self.pace)
        desk = Desk(self.guard, self.chain, self.key, self.clock, runner.start, reporter.put)
        depth = self._depth()
        desk.attach(depth)
        every_ms = self.config.stage.checkpoint_interval_ms
        sources = (Claims(desk, depth.catalogs), Computing(depth, desk, every_ms))
        readers = [Reader(self.broker, source) for source in sources]
        for reader in readers:
            self.status.ready[reader.topic] = lambda reader=reader: reader.problem  # type: ignore[misc]
        self.status.ready["chain"] = desk.problem
        self.status.health["lanes"] = depth.problem
        self.status.notes["lanes"] = depth.notes
        self.status.notes["headers"] = desk.notes
        self.status.notes["side tasks"] = side.notes
        for decision in await self.guard.unfinished():
            _log.info("resumed", catalog=decision.catalog, epoch_id=decision.epoch_id)
            runner.start(decision)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(desk.run(depth.catalogs), name="ask the chain")
                for reader in readers:
                    tasks.create_task(reader.run(), name=f"read {reader.topic}")
                tasks.create_task(side.run("report", reporter.run), name="report")
                if self.subscriptions is not None:
                    listen = partial(self._listen, self.subscriptions, runner)
                    tasks.create_task(side.run("listen", listen), name="listen")
        finally:
            await runner.stop()

    def _depth(self) -> Depth:
        published = partial(published_states, self.broker, self.chain, self.heart)
        database, catalogs = self.guard.database, self.config.catalogs
        if self.config.signer.depth == "raw":
            return RawDepth(self.heart, self.launch, self.config.signer.workers, database, catalogs, published)
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
