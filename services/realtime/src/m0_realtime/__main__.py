"""`python -m m0_realtime`: listens on M0_BIND (127.0.0.1:8090), stops on SIGTERM."""

from m0common.clock import system_clock
from m0common.process import run_service
from m0common.settings import Settings
from m0common.stream.kafka import KafkaBroker, KafkaOptions

from m0_realtime.service import Realtime

NAME = "realtime"
NEEDS = ("kafka", "realtime")
DEFAULT_BIND = "127.0.0.1:8090"


async def serve(settings: Settings) -> None:
    """Run until cancelled."""
    broker = KafkaBroker(KafkaOptions.of(settings.kafka, NAME))
    try:
        clock, bind = system_clock(settings.env), settings.bind or DEFAULT_BIND
        await Realtime(broker, bind, clock, settings.realtime).run()
    finally:
        await broker.close()


if __name__ == "__main__":
    run_service(NAME, NEEDS, serve)
