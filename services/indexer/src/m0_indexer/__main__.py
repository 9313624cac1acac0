"""`python -m m0_indexer`: migrate, index, serve health on M0_BIND or M0_PROMETHEUS_BIND, stop on SIGTERM."""

from m0common.clock import system_clock
from m0common.stream.service import run_loop

from m0_indexer.service import IndexerService

NEEDS = ("deployment", "kafka", "stage", "postgres", "solana")

if __name__ == "__main__":
    run_loop("indexer", NEEDS, lambda settings, broker: IndexerService(settings, broker, system_clock(settings.env)))
