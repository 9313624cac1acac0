"""The toy stage as a process of its own: `stream_toy_main.py BOOTSTRAP STAGE SOURCE SINK GROUP MEMBER`."""

import asyncio
import signal
import sys

from m0common.settings import Stage
from m0common.stream.core import LaneCore
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.loop import StageLoop
from stream_toy import Adder


async def main(bootstrap, stage, source, sink, group, member):
    broker = KafkaBroker(KafkaOptions(bootstrap, member, session_timeout_ms=3000))
    core = LaneCore("toy", int(stage), source, sink, Adder, bytes(32))
    settings = Stage(batch_records=50, commit_interval_ms=100, drain_grace_ms=300)
    loop = StageLoop(core, broker, settings, group=group, member=member)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, loop.stop)
    await loop.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
