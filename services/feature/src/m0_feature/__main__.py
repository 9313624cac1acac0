"""`python -m m0_feature`: the feature stage over Kafka until SIGTERM."""

from m0common.settings import Settings
from m0common.stream.core import StageCore
from m0common.stream.service import run_stage
from m0lanes.stages import feature_core


def core(_settings: Settings) -> StageCore:
    """The stage as the settings want it."""
    return feature_core()


if __name__ == "__main__":
    run_stage("feature", core)
