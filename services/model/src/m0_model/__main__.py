"""`python -m m0_model`: the model stage over Kafka until SIGTERM."""

from m0common.settings import Settings
from m0common.stream.core import StageCore
from m0common.stream.service import run_stage
from m0lanes.stages import model_core


def core(settings: Settings) -> StageCore:
    """The stage as the settings want it."""
    return model_core(settings.kafka.catalog_partitions)


if __name__ == "__main__":
    run_stage("model", core)
