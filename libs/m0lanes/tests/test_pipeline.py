"""The chained stages: the same log gives the same leaves, whatever happens to those who read it."""

import random

import lanes_world as world
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes_fleet import Fleet
from m0common.canonical import BundleHeader, MerkleTree, PredictionLeaf, input_root, leaf_hash, state_root
from m0common.messages import encode
from m0common.stream.records import Produce, Record
from m0common.topics import HEADERS, PREDICTIONS
from m0lanes.pipeline import Pipeline
from msgspec.structs import replace


def test_every_epoch_becomes_one_bundle_whose_roots_are_recomputable():
    log = world.season()
    pipeline = Pipeline(world.HEART)
    closed = world.play(log.records, pipeline)
    assert pipeline.letters == []
    assert [epoch.header.epoch_id for epoch in closed] == [world.FIRST + i for i in range(4)]
    prev, before = bytes(32), None
    for epoch in closed:
        message = epoch.header
        header = BundleHeader.decode(message.header)
        assert header.merkle_root == MerkleTree([leaf_hash(leaf) for leaf in epoch.leaves]).root
        assert header.leaf_count == len(epoch.leaves) == len(epoch.market_ids)
        assert header.input_root == input_root({lane.partition: lane.input_digest for lane in message.lanes})
        digests = {(r.partition, s): d for r in message.lanes for s, d in enumerate(r.stage_digests, 1)}
        assert len(digests) == 3 * len(message.lanes)
        assert header.state_root == state_root(digests)
        if before is not None:
            assert message.state_root_before == before
        before = header.state_root
        assert header.prev_bundle_hash == prev
        prev = header.bundle_hash
        keys = [PredictionLeaf.decode(leaf).market_key for leaf in epoch.leaves]
        assert keys == sorted(set(keys))


def test_predictions_move_with_what_was_tossed():
    closed = world.play(world.season().records)
    seen = {PredictionLeaf.decode(leaf).outcomes for epoch in closed for leaf in epoch.leaves}
    assert len(seen) > 4


@given(st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_the_interleaving_of_partitions_does_not_matter(rng: random.Random):
    records = world.season(3).records
    lanes = [[r for r in records if r.partition == p] for p in range(world.PARTITIONS)]
    mixed = []
    while any(lanes):
        mixed.append(rng.choice([lane for lane in lanes if lane]).pop(0))
    assert world.headers(world.play(mixed)) == world.headers(world.play(records))


@pytest.mark.parametrize("seed", range(6))
def test_a_fleet_whose_processes_die_at_any_moment_says_what_a_chain_says(seed: int):
    records = world.season(3, seed).records
    fleet = Fleet(world.HEART, seed, dies=0.08)
    fleet.write(records)
    fleet.run_until_idle()
    assert fleet.topics.headers() == world.headers(world.play(records))
    assert sum(instance.restarts for instance in fleet.instances) > 3
    assert fleet.topics.letters == {}
    assert fleet.parked() == []


@pytest.mark.parametrize("seed", range(4))
def test_two_processes_of_every_stage_dying_and_overtaking_each_other_change_nothing(seed: int):
    records = world.season(3, seed).records
    fleet = Fleet(world.HEART, seed, dies=0.04, copies=2)
    fleet.write(records)
    fleet.run_until_idle()
    assert fleet.topics.headers() == world.headers(world.play(records))
    assert fleet.parked() == []


def test_repeated_events_and_markers_change_nothing():
    records = world.season(3).records
    offsets = [0] * world.PARTITIONS
    doubled = []
    for record in records:
        for _ in range(2):
            doubled.append(replace(record, offset=offsets[record.partition]))
            offsets[record.partition] += 1
    pipeline = Pipeline(world.HEART)
    assert world.headers(world.play(doubled, pipeline)) == world.headers(world.play(records))
    assert pipeline.letters == []


def test_what_the_bundle_stage_of_a_chain_does_not_hear_closes_the_same_epochs_in_another_one():
    records = world.season(3).records
    said = []
    deaf = Pipeline(world.HEART, observer=lambda _, output: said.append(output), hears=lambda _: False)
    assert world.play(records, deaf) == []
    core = world.HEART.bundle()
    messages = [output for output in said if isinstance(output, Produce) and output.topic == PREDICTIONS.name]
    read = [Record(m.topic, m.partition, offset, m.key, m.value) for offset, m in enumerate(messages)]
    spoken = [output for record in read for output in core.feed(record)]
    closed = [output.value for output in spoken if isinstance(output, Produce) and output.topic == HEADERS.name]
    assert closed == [encode(epoch.header) for epoch in world.play(records)]
