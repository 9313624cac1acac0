"""The cores of the lane stages, as the services run them."""

from m0common.ids import Lane
from m0common.stream.core import LaneCore, StageCore
from m0common.stream.partition import partition_for
from m0common.topics import FEATURES, NORMALIZED, PREDICTIONS

from m0lanes.bundle import BundleCore
from m0lanes.feature import STAGE as FEATURE_STAGE
from m0lanes.feature import FeatureTransition
from m0lanes.model import STAGE as MODEL_STAGE
from m0lanes.model import ModelTransition
from m0lanes.normalize import NormalizeCore
from m0lanes.release import release


def normalize_core(only: frozenset[str] | None = None) -> NormalizeCore:
    """m0.raw to m0.normalized; `only` restricts it to some catalogs."""
    return NormalizeCore(release(), only)


def feature_core() -> LaneCore:
    """m0.normalized to m0.features."""
    return LaneCore("feature", FEATURE_STAGE, NORMALIZED.name, FEATURES.name, FeatureTransition, release())


def model_core(catalog_partitions: int) -> LaneCore:
    """m0.features to m0.predictions, which is partitioned by catalog."""

    def output_partition(lane: Lane) -> int:
        return partition_for(lane.catalog.encode(), catalog_partitions)

    return LaneCore("model", MODEL_STAGE, FEATURES.name, PREDICTIONS.name, ModelTransition, release(), output_partition)


def bundle_core() -> BundleCore:
    """m0.predictions to m0.bundles."""
    return BundleCore(release())


def all_cores(catalog_partitions: int, only: frozenset[str] | None = None) -> list[StageCore]:
    """The four stages in order."""
    return [normalize_core(only), feature_core(), model_core(catalog_partitions), bundle_core()]
