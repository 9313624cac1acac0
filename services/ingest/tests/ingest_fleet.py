"""Ingest as processes on a real Kafka and a real Postgres, to be stopped and killed; a stand-in for chain and indexer.

As a program it is one of them: it writes what `/ready` says to a file, a line each time that changes.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from control_world import CLOCK, CONTROL, GENESIS, OTHER
from m0_ingest.service import Ingest, Keys
from m0common.clock import SystemClock
from m0common.leases import rows
from m0common.messages import RegistryMarket, encode
from m0common.process import Process, lived
from m0common.settings import Catalog, Settings
from m0common.stream.records import Produce
from m0common.stream.service import broker_of
from m0common.tasks import end_task
from m0common.topics import REGISTRY
from m0lanes.domains import load_domains

PARTITIONS = 4
LEASE_MS = 1_000
SAY_EVERY_S = 0.05
WORLDS = Path(__file__).parents[3] / "libs/m0replay/tests"
"""Where control_world is."""


class Chain:
    """What is created appears in the registry topic, however often it is."""

    def __init__(self, broker):
        self._producer = broker.producer()

    async def create(self, market):
        record = RegistryMarket(
            market.market_id, market.catalog, market.group, market.title, market.outcomes, "ACTIVE", 1,
            market.opens_ms, market.resolves_after_ms, None, 1,
        )  # fmt: skip
        await self._producer.send([Produce(REGISTRY.name, 0, market.market_id.encode(), encode(record))])
        return True


def settings(bootstrap, dsn, catalogs):
    return Settings.model_validate(
        {
            "deployment": {"genesis_hash": GENESIS.hex(), "control_key": bytes(CONTROL.pubkey()).hex()},
            "kafka": {"bootstrap": bootstrap, "partitions": PARTITIONS},
            "postgres": {"dsn": dsn, "lease_ms": LEASE_MS},
            "catalogs": {name: Catalog(lateness_ms=100) for name in catalogs},
        }
    )


def serve(says, bootstrap, dsn, config, *catalogs):
    told = settings(bootstrap, dsn, catalogs)

    async def compose(process):
        saying = asyncio.create_task(say(process.status, Path(says)))
        process.closes("what it says", lambda: end_task(saying))
        broker = broker_of(process)
        leases = await process.enter("the leases", rows.opened(told.postgres, "ingest"))
        keys = Keys(CLOCK, OTHER)
        await Ingest(process, Path(config), broker, leases, Chain(broker), keys, load_domains()).begin()

    async def main():
        return await lived(Process("ingest", told, SystemClock()), compose, None)

    sys.exit(asyncio.run(main()))


async def say(status, path):
    last = None
    while True:
        body = json.loads(status.respond(status.ready).body)
        if body != last:
            with path.open("a") as file:
                file.write(json.dumps(body) + "\n")
            last = body
        await asyncio.sleep(SAY_EVERY_S)


class Member:
    """One of them, seen from the test."""

    def __init__(self, folder, name, *arguments):
        self.name = name
        self._says = folder / f"{name}.says"
        self._says.touch()
        with (folder / f"{name}.log").open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, __file__, self._says, *map(str, arguments)],
                stdout=out,
                stderr=out,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(WORLDS), *sys.path])},
            )

    def says(self):
        """What it said last, {} before the first time."""
        lines = self._says.read_bytes().split(b"\n")[:-1]
        return json.loads(lines[-1]) if lines else {}

    def leads(self):
        """The parts that it says it leads."""
        return {name for name, said in self.says().get("facts", {}).items() if said.startswith("leads")}

    def ready(self):
        return self.says().get("problems") == {}

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        """Ask it to stop; its exit code."""
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        return self._process.wait(60)


if __name__ == "__main__":
    serve(*sys.argv[1:])
