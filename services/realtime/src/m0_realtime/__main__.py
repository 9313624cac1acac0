"""`python -m m0_realtime`: listens on M0_BIND (127.0.0.1:8090), stops on SIGTERM."""

from m0common.process import Process, run
from m0common.stream.service import broker_of

from m0_realtime.service import Realtime

NAME = "realtime"
NEEDS = ("kafka", "realtime")
DEFAULT_BIND = "127.0.0.1:8090"


async def compose(process: Process) -> None:
    """The channels on Kafka."""
    settings = process.settings
    bind = settings.bind or DEFAULT_BIND
    await Realtime(broker_of(process), bind, process.clock, process.status, settings.realtime).begin(process)


if __name__ == "__main__":
    run(NAME, NEEDS, compose, own_status=True)
