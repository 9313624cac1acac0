"""What the public sees, against the SDK that reads it."""

from inspect import isclass
from typing import get_args, get_type_hints

import m0client.models
import msgspec
import pytest
from index_scene import Scene
from m0common.canonical import BundleHeader, Outcome
from m0common.messages import EpochMember, FinalizedEpoch, FinalizedPrediction, ProvisionalPrediction
from m0index import shapes
from m0index.queries.predictions import FinalLeaf, LiveRow
from pydantic import BaseModel

SDK = [
    (shapes.Market, m0client.models.Market),
    (shapes.Epoch, m0client.models.Epoch),
    (shapes.Prediction, m0client.models.Prediction),
    (shapes.Proof, m0client.models.Proof),
]
NAMES = ["HOME", "DRAW", "AWAY"]
SAID = Scene().bundle(7, {"A": [500_000_000, 300_000_000, 200_000_000]})
HASH = Scene.hash_of(SAID)
HEADER = BundleHeader.decode(SAID.header)
LEAF = FinalizedPrediction("A", "sports", 7, HASH, 0, SAID.leaves[0], "elo_dc")
LIVE = ProvisionalPrediction(
    "sports", 0, 0, 5, "A", 8, 1, 180_000, 1, (Outcome(600_000_000, 5, 700_000_000), Outcome(400_000_000, 4, 5)), 77, 1,
    "elo_dc", bytes(32),
)  # fmt: skip
MEMBERS = (EpochMember("4" * 44, True, True, HASH), EpochMember("3" * 44, True, False, None))
EPOCH = FinalizedEpoch(
    "sports", 7, 140_000, 160_000, 1, HEADER.merkle_root, HASH, HEADER.prev_bundle_hash, 1, MEMBERS, 200_000, 240_000,
    "5" * 88, 99, 1,
)  # fmt: skip


def fields(kind: type) -> set[str]:
    if issubclass(kind, BaseModel):
        return {field.alias or name for name, field in kind.model_fields.items()}
    return set(kind.__struct_encode_fields__)


def parts(kind: type, base: type) -> dict[str, type]:
    """The objects inside an object, by field."""
    hints = [(name, each) for name, hint in get_type_hints(kind).items() for each in (hint, *get_args(hint))]
    return {name: each for name, each in hints if isclass(each) and issubclass(each, base)}


def assert_among(taken, served):
    """Every value that was taken is the one that was served; more may be."""
    if isinstance(taken, dict):
        for name, value in taken.items():
            assert_among(value, served[name])
    elif isinstance(taken, list):
        assert len(taken) == len(served)
        for one, other in zip(taken, served, strict=True):
            assert_among(one, other)
    else:
        assert taken == served


@pytest.mark.parametrize(("served", "read"), SDK)
def test_the_sdk_reads_no_field_that_is_not_served(served, read):
    assert fields(read) <= fields(served)
    inside = parts(read, msgspec.Struct)
    assert all(fields(each) <= fields(parts(served, BaseModel)[name]) for name, each in inside.items())


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        (shapes.finalized(LEAF, NAMES), m0client.models.Prediction),
        (shapes.provisional(LIVE, NAMES), m0client.models.Prediction),
        (shapes.final_epoch(EPOCH), m0client.models.Epoch),
    ],
)
def test_the_sdk_takes_what_is_served_with_every_value(shape, read):
    served = msgspec.json.decode(shapes.encoded(shape))
    taken = msgspec.json.decode(shapes.encoded(shape), type=read)
    assert_among(msgspec.json.decode(msgspec.json.encode(taken)), served)


def test_a_row_looks_like_the_message_it_was_published_with():
    row = FinalLeaf("A", "sports", 7, SAID.leaves[0], "elo_dc", HASH, NAMES)
    assert shapes.finalized(row, row.names) == shapes.finalized(LEAF, NAMES)
    live = LiveRow("A", "sports", 8, 180_000, list(LIVE.outcomes), 77, 1, "elo_dc", bytes(32), NAMES)
    assert shapes.provisional(live, live.names) == shapes.provisional(LIVE, NAMES)


@pytest.mark.parametrize(("names", "shown"), [([], ["0", "1"]), (["UP"], ["UP", "1"]), (NAMES, ["HOME", "DRAW"])])
def test_an_outcome_without_a_name_bears_its_number(names, shown):
    assert [outcome.name for outcome in shapes.provisional(LIVE, names).outcomes] == shown


def test_probabilities_are_told_as_integers_and_as_decimals():
    first = shapes.provisional(LIVE, NAMES).outcomes[0]
    assert (first.p_ppb, first.lo_ppb, first.hi_ppb) == (600_000_000, 5, 700_000_000)
    assert (first.p, first.lo, first.hi) == (0.6, 5e-9, 0.7)
