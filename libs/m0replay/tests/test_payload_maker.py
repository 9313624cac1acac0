"""Payloads made of types: what is meant to be valid is, and what is changed is changed in one place."""

import enum
import json
import random
from typing import Annotated, Literal

import msgspec
import pytest
from m0domains.crypto import DOMAIN as CRYPTO
from m0domains.sports import DOMAIN as SPORTS
from m0replay.payload_maker import Maker


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(msgspec.Struct, frozen=True, tag="leaf", forbid_unknown_fields=True):
    many: Annotated[tuple[Annotated[int, msgspec.Meta(gt=-3, lt=3)], ...], msgspec.Meta(max_length=70)]


class Branch(msgspec.Struct, frozen=True, tag="branch", forbid_unknown_fields=True):
    inside: tuple["Leaf | Branch", ...]
    below: "Branch | None" = None


class Everything(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    tree: Leaf | Branch
    two_things: tuple[bool, Literal["a", 5]]
    colour: Colour
    named: Annotated[dict[Annotated[str, msgspec.Meta(max_length=3)], int], msgspec.Meta(min_length=1, max_length=2)]
    word: Annotated[str, msgspec.Meta(pattern="^[a-z]_[0-9]$")]
    long: Annotated[str, msgspec.Meta(min_length=40, max_length=41)]
    even: Annotated[int, msgspec.Meta(ge=0, le=9, multiple_of=2)]
    nothing: None
    maybe: frozenset[int] | None = None


KINDS = [Everything, *CRYPTO.payloads.values(), *SPORTS.payloads.values()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_made_of_a_type_its_decoder_takes(kind):
    for seed in range(300):
        made = Maker(random.Random(seed)).valid(kind)
        msgspec.json.decode(json.dumps(made).encode(), type=kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_bounds_are_reached_and_seeds_decide(kind):
    made = [json.dumps(Maker(random.Random(seed), ["word"]).valid(kind)) for seed in range(60)]
    assert made == [json.dumps(Maker(random.Random(seed), ["word"]).valid(kind)) for seed in range(60)]
    assert len(set(made)) > 20


def test_integers_stand_at_both_of_their_bounds_and_between():
    made = [Maker(random.Random(seed)).valid(CRYPTO.payloads["book"]) for seed in range(200)]
    prices = {price for book in made for price, _ in book["bids"]}
    assert {0, 1_000_000_000} < prices
    assert {len(book["bids"]) for book in made} >= {0, 64}


def test_something_wrong_leaves_the_payload_as_it_was_and_is_mostly_refused():
    kind = SPORTS.payloads["match_result"]
    good = Maker(random.Random(1)).valid(kind)
    before, refused = json.dumps(good), 0
    for seed in range(200):
        wrong = Maker(random.Random(seed)).wrong(good)
        try:
            msgspec.json.decode(json.dumps(wrong).encode(), type=kind)
        except msgspec.ValidationError:
            refused += 1
    assert json.dumps(good) == before
    assert 80 < refused < 200
