"""Event ids, what keys sign, and the hashes of what was in force: as the second implementation has them."""

import independent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.canonical import (
    LaneConfig,
    LaneModel,
    certificate_message,
    config_hash,
    control_message,
    event_id,
    input_root,
    model_manifest_hash,
    rebase_hash,
    set_hash,
    state_root,
)
from m0common.errors import InvalidValue

digests = st.binary(min_size=32, max_size=32)
u32 = st.integers(0, 2**32 - 1)
events = st.fixed_dictionaries(
    {
        "source": st.text(max_size=4),
        "source_event_id": st.text(max_size=4),
        "group": st.text(max_size=4),
        "market_id": st.none() | st.text(max_size=4),
        "kind": st.text(max_size=4),
        "event_ms": st.integers(-(2**63), 2**63 - 1),
        "source_seq": st.integers(0, 2**64 - 1),
        "payload": st.binary(max_size=8),
    }
)
lane_configs = st.lists(st.builds(LaneConfig, u32, u32, digests), max_size=5, unique_by=lambda lane: lane.partition)
lane_models = st.lists(st.builds(LaneModel, u32, digests, digests), max_size=5, unique_by=lambda lane: lane.partition)


@given(events)
@settings(max_examples=60)
def test_an_event_id_is_what_the_second_implementation_says(event):
    assert event_id(**event) == independent.event_id(**event)


@given(events, events)
@settings(max_examples=60)
def test_an_event_with_one_other_field_has_another_id(event, other):
    for name, value in other.items():
        same = (event[name] or "") == (value or "") if name == "market_id" else event[name] == value
        assert (event_id(**(event | {name: value})) == event_id(**event)) == same


def test_letters_that_move_from_one_field_to_the_next_make_another_event():
    fields = ("source", "source_event_id", "group", "market_id", "kind")
    numbers = {"event_ms": 1, "source_seq": 0, "payload": b""}
    ids = {event_id(**{name: "x" if name == at else "" for name in fields}, **numbers) for at in fields}
    assert len(ids) == len(fields)


@given(digests, digests, digests)
@settings(max_examples=20)
def test_what_is_signed_begins_with_its_tag_and_the_chain_it_is_for(genesis_hash, one, other):
    assert control_message(genesis_hash, one) == b"M0CONTROL1" + genesis_hash + one
    assert certificate_message(genesis_hash, one, other) == b"M0KEYCERT1" + genesis_hash + one + other


@given(st.binary(max_size=64))
@settings(max_examples=20)
def test_a_set_and_a_rebase_of_the_same_bytes_have_different_hashes(payload):
    assert set_hash(payload) == independent.set_hash(payload)
    assert rebase_hash(payload) == independent.rebase_hash(payload)
    assert set_hash(payload) != rebase_hash(payload)


@given(digests, digests, lane_configs, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_a_config_hash_does_not_depend_on_the_order_of_lanes(set_in_force, key, lanes, random):
    expected = independent.config_hash(set_in_force, key, lanes)
    assert config_hash(set_in_force, key, lanes) == expected
    random.shuffle(lanes)
    assert config_hash(set_in_force, key, iter(lanes)) == expected


@given(lane_models, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_a_model_manifest_hash_does_not_depend_on_the_order_of_lanes(lanes, random):
    expected = independent.model_manifest_hash(lanes)
    assert model_manifest_hash(lanes) == expected
    random.shuffle(lanes)
    assert model_manifest_hash(iter(lanes)) == expected


@given(digests, digests, lane_configs.filter(bool), digests)
@settings(max_examples=40)
def test_every_part_of_a_config_counts(set_in_force, key, lanes, other):
    first, *rest = lanes
    changed = [
        config_hash(other, key, lanes),
        config_hash(set_in_force, other, lanes),
        config_hash(set_in_force, key, rest),
        config_hash(set_in_force, key, [first._replace(partition=first.partition ^ 1), *rest]),
        config_hash(set_in_force, key, [first._replace(life=first.life ^ 1), *rest]),
        config_hash(set_in_force, key, [first._replace(rebase_hash=other), *rest]),
    ]
    same = (set_in_force, key, first.rebase_hash).count(other)
    assert changed.count(config_hash(set_in_force, key, lanes)) == same


@pytest.mark.parametrize("short", [b"", bytes(31), bytes(33)])
def test_hashes_of_another_length_are_refused(short):
    whole = bytes(32)
    for arguments in ((short, whole, []), (whole, short, []), (whole, whole, [LaneConfig(0, 0, short)])):
        with pytest.raises(InvalidValue, match=f"a hash of {len(short)} bytes"):
            config_hash(*arguments)
    for lane in (LaneModel(0, short, whole), LaneModel(0, whole, short)):
        with pytest.raises(InvalidValue, match=f"a hash of {len(short)} bytes"):
            model_manifest_hash([lane])


@given(st.dictionaries(u32, digests, max_size=5), st.dictionaries(st.tuples(u32, st.integers(0, 255)), digests))
@settings(max_examples=60)
def test_roots_are_what_the_second_implementation_says(inputs, states):
    assert input_root(inputs) == independent.input_root(inputs)
    assert state_root(states) == independent.state_root(states)
