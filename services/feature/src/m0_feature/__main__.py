"""`python -m m0_feature`: the feature stage over Kafka until SIGTERM."""

from m0common.deployment import Deployment
from m0common.settings import Settings
from m0common.stream.core import StageCore
from m0common.stream.service import run_stage
from m0lanes.stages import Heart


def core(settings: Settings) -> StageCore:
    """The stage with every domain that is installed."""
    return Heart.installed(Deployment.of(settings)).feature()


if __name__ == "__main__":
    run_stage("feature", core)
