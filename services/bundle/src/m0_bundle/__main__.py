"""`python -m m0_bundle`: the bundle stage over Kafka until SIGTERM."""

from m0common.settings import Settings
from m0common.stream.core import StageCore
from m0common.stream.service import run_stage
from m0lanes.stages import bundle_core


def core(_settings: Settings) -> StageCore:
    """The stage as the settings want it."""
    return bundle_core()


if __name__ == "__main__":
    run_stage("bundle", core)
