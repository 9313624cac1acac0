"""One stage as a process of its own: `loop_main.py STAGE BOOTSTRAP PREFIX MEMBER`, with the tests' domain."""

import asyncio
import signal
import sys

import lanes_world as lanes
from loop_named import NamedBroker
from loop_world import QUICK
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.loop import StageLoop


async def main(stage: str, bootstrap: str, prefix: str, member: str) -> None:
    broker = NamedBroker(KafkaBroker(KafkaOptions(bootstrap, member, session_timeout_ms=1500), ()), prefix)
    core = lanes.HEART.bundle(8) if stage == "bundle" else getattr(lanes.HEART, stage)()
    loop = StageLoop(core, broker, QUICK, group=stage, member=member)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, loop.stop)
    await loop.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
