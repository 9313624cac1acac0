"""A release that goes on in the middle of another's epoch says so in the leaves and in the manifest, once."""

import lanes_log as log
import msgspec
import pytest
from m0common.canonical import FLAGS, BundleHeader, PredictionLeaf
from m0common.ids import Lane
from m0common.messages import BundleMessage, Checkpoint
from m0common.stream.core import LaneCore
from m0common.stream.records import Record, Save
from m0common.topics import BUNDLES, FEATURES, NORMALIZED, PREDICTIONS
from m0lanes.bundle import BundleCore
from m0lanes.feature import FeatureTransition
from m0lanes.model import ModelTransition
from m0lanes.normalize import NormalizeCore

OLD, NEW = b"\x01" * 32, b"\x02" * 32


def cores(release: bytes):
    def one(_lane: Lane) -> int:
        return 0

    return [
        NormalizeCore(release),
        LaneCore("feature", 2, NORMALIZED.name, FEATURES.name, FeatureTransition, release),
        LaneCore("model", 3, FEATURES.name, PREDICTIONS.name, ModelTransition, release, one),
        BundleCore(release),
    ]


class Pipeline:
    """The four stages with their logs; any stage can be replaced by one of another release, as an upgrade does."""

    def __init__(self) -> None:
        self.cores = cores(OLD)
        self.saved: dict[tuple[int, int, str], Checkpoint] = {}
        self.logs: dict[str, dict[int, list[Record]]] = {core.input_topic: {} for core in self.cores}
        self.bundles: dict[tuple[str, int], BundleMessage] = {}

    def run(self, records: list[Record]) -> None:
        for record in records:
            self._feed(0, record)

    def _feed(self, index: int, record: Record) -> None:
        self.logs[record.topic].setdefault(record.partition, []).append(record)
        self._handle(index, self.cores[index].feed(record))

    def _handle(self, index: int, outputs) -> None:
        for output in outputs:
            if isinstance(output, Save):
                c = output.checkpoint
                self.saved[c.stage, c.partition, c.catalog] = c
            elif output.topic == BUNDLES.name:
                bundle = msgspec.msgpack.decode(output.value, type=BundleMessage)
                self.bundles.setdefault((bundle.catalog, bundle.epoch_id), bundle)
            else:
                offset = len(self.logs[output.topic].get(output.partition, []))
                self._feed(index + 1, Record(output.topic, output.partition, offset, output.key, output.value))

    def upgrade(self, index: int, *, planned: bool) -> None:
        """Stop a stage and start the new release from its checkpoints, reading its input again from there."""
        old = self.cores[index]
        partitions = sorted(self.logs[old.input_topic])
        if planned:
            for partition in partitions:
                self._handle(index, old.planned_stop(partition))
        new = self.cores[index] = cores(NEW)[index]
        for partition in partitions:
            start = new.resume(partition, self.saved.values()) or 0
            for record in self.logs[new.input_topic][partition][start:]:
                self._handle(index, new.feed(record))


def flags(bundle: BundleMessage) -> set[bool]:
    return {bool(PredictionLeaf.decode(leaf).quality_flags & FLAGS.DEGRADED_MODEL) for leaf in bundle.leaves}


def middle(records: list[Record]) -> int:
    """An index inside the second epoch, after events of it and before its markers."""
    marks = [i for i, r in enumerate(records) if b'"epoch_end"' in r.value]
    return marks[4] - 2


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_unplanned_change_inside_an_epoch_degrades_that_epoch_alone(index: int):
    records = log.season(4).records
    at = middle(records)
    pipeline = Pipeline()
    pipeline.run(records[:at])
    pipeline.upgrade(index, planned=False)
    pipeline.run(records[at:])
    epochs = sorted(e for c, e in pipeline.bundles if c == "crypto")
    assert [flags(pipeline.bundles["crypto", e]) for e in epochs][:2] == [{False}, {True}]


def test_a_planned_change_of_every_stage_at_a_marker_degrades_nothing():
    records = log.season(4).records
    marks = [i for i, r in enumerate(records) if b'"epoch_end"' in r.value]
    at = marks[3] + 1
    pipeline = Pipeline()
    pipeline.run(records[:at])
    for index in range(4):
        pipeline.upgrade(index, planned=True)
    pipeline.run(records[at:])
    assert all(flags(bundle) == {False} for bundle in pipeline.bundles.values())
    manifests = [BundleHeader.decode(b.header).model_manifest_hash for _, b in sorted(pipeline.bundles.items())]
    assert len(set(manifests)) == 4  # two catalogs with their own model, each under two releases


def test_stages_of_different_releases_are_a_mixture_until_all_have_changed():
    records = log.season(4).records
    marks = [i for i, r in enumerate(records) if b'"epoch_end"' in r.value]
    at = marks[3] + 1
    pipeline = Pipeline()
    pipeline.run(records[:at])
    pipeline.upgrade(2, planned=True)
    pipeline.run(records[at:])
    later = [b for (_, e), b in pipeline.bundles.items() if e > log.FIRST_EPOCH]
    assert all(flags(bundle) == {True} for bundle in later)
