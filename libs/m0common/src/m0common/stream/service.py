"""What processes that read topics have in common: the broker, a loop, and the composition of every lane stage.

if __name__ == "__main__":
run_stage("normalize", lambda settings: normalize_core())
"""

import os
import socket
from collections.abc import Callable
from typing import Protocol

from m0common.errors import SettingsError
from m0common.process import Process, run
from m0common.settings import Settings
from m0common.stream.broker import Broker
from m0common.stream.core import StageCore
from m0common.stream.groups import StageGroup
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.loop import StageLoop

STAGE_NEEDS = ("deployment", "kafka", "stage")
"""What a lane stage is told."""


class Loop(Protocol):
    """What runs until it is stopped: StageLoop or ConsumerLoop."""

    def ready(self) -> str | None: ...

    def notes(self) -> str | None: ...

    def healthy(self) -> str | None: ...

    def stop(self) -> None: ...

    async def run(self) -> None: ...


def member_name(service: str) -> str:
    """The static member name of this process: the same after a restart, different for each replica.

    Replicas on one machine are told apart by M0_REPLICA; in containers the host name does it.
    """
    return f"{service}-{socket.gethostname()}-{os.environ.get('M0_REPLICA', '0')}"


def broker_of(process: Process) -> Broker:
    """The Kafka of the settings, closed when the process ends."""
    broker = KafkaBroker(KafkaOptions.of(process.settings.kafka, process.name))
    process.closes("Kafka", broker.close)
    return broker


def begin_loop(process: Process, name: str, loop: Loop) -> None:
    """Run a loop as a task that is drained, and let its checks stand in the status."""
    process.status.health[name] = loop.healthy
    process.status.ready[name] = loop.ready
    process.status.notes[name] = loop.notes
    process.task(name, loop.run, stop=loop.stop)


def run_stage(name: str, core: Callable[[Settings], StageCore]) -> None:
    """Run a lane stage until SIGTERM or SIGINT, then exit the process with its code."""

    async def compose(process: Process) -> None:
        made = core(process.settings)
        group, stage = StageGroup.of(name, made.build), process.settings.stage
        if stage.release_id not in ("", group.build):
            raise SettingsError(
                f"stage.release_id = {stage.release_id}, and what is installed here is {group.build}: correct the id, "
                "or the tag of the image"
            )
        loop = StageLoop(made, broker_of(process), stage, group=str(group), member=member_name(name))
        begin_loop(process, name, loop)

    run(name, STAGE_NEEDS, compose)
