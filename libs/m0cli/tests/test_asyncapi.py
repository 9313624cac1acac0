"""The generated description of the topics: up to date, whole, and true of messages as they are written."""

from pathlib import Path
from types import UnionType
from typing import Annotated, NamedTuple, Union, get_args, get_origin, get_type_hints

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0cli import asyncapi
from m0common import messages as m
from m0common.canonical import Outcome
from m0common.messages.types import I64
from m0common.topics import NORMALIZED, PREDICTIONS, RAW, TOPICS
from m0lanes.bodies import KINDS
from m0lanes.control import PAYLOADS

COMMITTED = Path(__file__).parents[3] / "docs" / "asyncapi.json"


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kind `reading`: what a gauge shows."""

    celsius: I64
    station: Annotated[str, msgspec.Meta(max_length=8)] = ""


class Place(NamedTuple):
    north: int
    east: int


class Rain(msgspec.Struct, frozen=True, array_like=True):
    """kind `rain`: where it rains."""

    places: tuple[Place, ...]


class Tide(msgspec.Struct, frozen=True, array_like=True):
    """kind `tide`: how high the water stands."""

    metres: int


class Domain(NamedTuple):
    name: str
    payloads: dict[str, type[msgspec.Struct]]
    bodies: dict[str, type[msgspec.Struct]]


Depth = msgspec.defstruct("Reading", [("depth_mm", int)], frozen=True, forbid_unknown_fields=True)
Salt = msgspec.defstruct("Rain", [("salt", str)], frozen=True, array_like=True)
WEATHER = Domain("weather", {"reading": Reading}, {"rain": Rain})
SEA = Domain("sea", {"reading": Depth}, {"rain": Salt, "tide": Tide})
DOCUMENT = asyncapi.document([SEA, WEATHER])
SCHEMAS = DOCUMENT["components"]["schemas"]
HASH = "ab" * 32
EXAMPLES = {
    "catalog_set": {
        "catalog": "crypto",
        "generation": 1,
        "partitions": 8,
        "epoch_ms": 20_000,
        "domain": {"name": "crypto", "distribution": "m0domains", "version": 1},
        "release": HASH,
        "model": "book_consensus",
        "params": {"stale_ms": 15_000},
        "horizon_ms": 60_000,
        "groups": ["btc"],
        "sources": {"books": {"kinds": ["book"], "key": None, "dense": True}},
        "retired": False,
        "certificates": [{"old": HASH, "new": HASH, "signature": HASH * 2}],
    },
    "epoch_end": {
        "catalog": "crypto",
        "epoch_id": 3,
        "window_start_ms": 1,
        "window_end_ms": 2,
        "generation": 1,
        "lanes": [0, 3],
        "next": {"generation": 2, "hash": HASH},
    },
    "rebase": {
        "catalog": "crypto",
        "partition": 3,
        "life": 1,
        "epoch_id": 3,
        "release": HASH,
        "roots": [HASH, HASH, HASH],
        "offset": 17,
    },
    "market_open": {
        "catalog": "crypto",
        "outcomes": ["UP", "DOWN"],
        "schema_version": 1,
        "opens_ms": 1,
        "title": "BTC",
        "attributes": {"asset": "btc"},
    },
    "market_close": {"catalog": "crypto", "reason": "over"},
}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**54), 2**54),
    st.sampled_from([0, 1, 99, 100, 999, 1000, 2**31, 2**32, 2**32 - 1, HASH, HASH + "\n", HASH.upper(), "btc", "x y"]),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=2)),
    max_leaves=5,
)
RAW_EVENT = {
    "source": "registry",
    "source_event_id": "M:open",
    "group": "btc",
    "market_id": "M",
    "kind": "market_close",
    "event_ms": 1,
    "received_ms": 2,
    "payload": EXAMPLES["market_close"],
}


def test_the_committed_file_is_what_the_generator_writes():
    assert COMMITTED.read_text() == asyncapi.render(), "run 'make asyncapi'"


def test_every_topic_is_described_and_every_kind_of_payload():
    assert list(DOCUMENT["channels"]) == [topic.name for topic in TOPICS]
    assert {rule["if"]["properties"]["kind"]["const"] for rule in SCHEMAS["RawEvent"]["allOf"]} == {
        *PAYLOADS,
        "reading",
    }


def test_every_kind_that_the_heart_says_is_in_some_lane():
    assert {kind for _, kinds, _ in asyncapi.LANES.values() for kind in kinds} == KINDS.keys()


def test_every_reference_leads_somewhere_and_every_schema_is_referred_to():
    def references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    found = set(references(DOCUMENT))
    for reference in found:
        place = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    assert {f"#/components/schemas/{name}" for name in SCHEMAS} <= found


def validator(topic):
    ((name, _),) = DOCUMENT["channels"][topic]["messages"].items()
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft7Validator(schema)


def seen(value):
    """A decoded value as the schemas see it: bytes are strings, keys of maps too."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [seen(item) for item in value]
    if isinstance(value, dict):
        return {str(key): seen(item) for key, item in value.items()}
    return value


def written(message):
    """The message as a reader sees it."""
    return seen(msgspec.msgpack.decode(m.encode(message)))


def lane_message(kind, body):
    return m.LaneMessage("sports", 0, 1, 7, bytes(32), 9, kind, msgspec.Raw(m.encode(body)))


STRUCTS = [(topic, struct) for topic, struct in asyncapi.MESSAGES.items() if topic != RAW.name]
BODIES = [(topic, kind) for topic, (_, kinds, _) in asyncapi.LANES.items() for kind in kinds]
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))  # what MessagePack can hold
st.register_type_strategy(Outcome, st.builds(Outcome, *[st.integers(0, 10**9)] * 3))


def bounded(kind):
    """Values of a type within the bounds that its annotations name."""
    if get_origin(kind) is not Annotated:
        fields = getattr(kind, "__struct_fields__", None) or getattr(kind, "_fields", None)
        if fields is not None:
            hints = get_type_hints(kind, include_extras=True)
            return st.builds(kind, **{name: bounded(hints[name]) for name in fields})
        if get_origin(kind) in (Union, UnionType):
            return st.one_of(*map(bounded, get_args(kind)))
        if get_origin(kind) is tuple and get_args(kind)[-1] is not Ellipsis:
            return st.tuples(*map(bounded, get_args(kind)))
        if get_origin(kind) is tuple:
            return st.lists(bounded(get_args(kind)[0]), max_size=3).map(tuple)
        return st.from_type(kind)
    base, meta = get_args(kind)[0], get_args(kind)[1]
    if base is int:
        most = meta.le if meta.lt is None else meta.lt - 1
        return st.integers(meta.ge, min(most, 2**63 - 1))
    if meta.pattern is not None:
        return st.from_regex(meta.pattern)
    sizes = {"min_size": meta.min_length or 0, "max_size": min(meta.max_length, 64)}
    if base in (str, bytes):
        return (st.text if base is str else st.binary)(**sizes)
    return st.lists(bounded(get_args(base)[0]), min_size=sizes["min_size"], max_size=3).map(tuple)


@pytest.mark.parametrize(("topic", "struct"), STRUCTS, ids=lambda value: getattr(value, "__name__", value))
def test_messages_as_they_are_written_fit_their_schema(topic, struct):
    check = validator(topic)

    @given(bounded(struct))
    @settings(max_examples=20)
    def fits(message):
        check.validate(written(message))

    fits()


@pytest.mark.parametrize(("topic", "kind"), BODIES)
def test_lane_messages_fit_the_schema_of_their_topic_under_their_own_kind_only(topic, kind):
    check = validator(topic)

    @given(bounded(KINDS[kind]))
    @settings(max_examples=20)
    def fits(body):
        check.validate(written(lane_message(kind, body)))
        assert not check.is_valid(written(lane_message("gossip", body)))

    fits()
    assert not check.is_valid(written(lane_message(kind, Tide(1))))


def test_what_a_domain_says_is_in_the_lanes_before_the_model_and_not_behind_it():
    lane, behind = validator(NORMALIZED.name), validator(PREDICTIONS.name)
    message = written(lane_message("rain", Rain((Place(1, 2),))))
    lane.validate(message)
    assert not behind.is_valid(message)


def test_a_kind_of_two_domains_may_be_what_either_says():
    check = validator(NORMALIZED.name)
    check.validate(written(lane_message("rain", Rain(()))))
    check.validate(written(lane_message("rain", Salt("much"))))
    assert not check.is_valid(written(lane_message("rain", Tide(3))))
    assert not check.is_valid(written(lane_message("tide", Rain(()))))
    raw = validator(RAW.name)
    raw.validate({**RAW_EVENT, "kind": "reading", "payload": {"celsius": -3}})
    raw.validate({**RAW_EVENT, "kind": "reading", "payload": {"depth_mm": 3}})
    assert not raw.is_valid({**RAW_EVENT, "kind": "reading", "payload": {"celsius": 3, "depth_mm": 3}})


@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_control_event_fits_exactly_when_its_payload_can_be_decoded(kind):
    check, struct = validator(RAW.name), PAYLOADS[kind]
    field = st.sampled_from([*struct.__struct_fields__, "more"])

    @given(st.dictionaries(field, VALUES, max_size=1), st.sets(field, max_size=1))
    @settings(max_examples=100)
    def agree(changed, dropped):
        payload = {name: value for name, value in {**EXAMPLES[kind], **changed}.items() if name not in dropped}
        try:
            msgspec.json.decode(msgspec.json.encode(payload), type=struct)
        except msgspec.ValidationError:
            decodes = False
        else:
            decodes = True
        assert check.is_valid({**RAW_EVENT, "kind": kind, "payload": payload}) == decodes

    assert check.is_valid({**RAW_EVENT, "kind": kind, "payload": EXAMPLES[kind]})
    agree()


ENVELOPE = st.sampled_from(["source", "source_event_id", "group", "market_id", "event_ms", "received_ms", "signature"])


@given(st.dictionaries(ENVELOPE | st.just("source_seq"), VALUES, min_size=1, max_size=2), st.sets(ENVELOPE, max_size=1))
@settings(max_examples=200)
def test_a_raw_event_fits_exactly_when_its_envelope_can_be_decoded(changed, dropped):
    event = {name: value for name, value in {**RAW_EVENT, **changed}.items() if name not in dropped}
    try:
        msgspec.json.decode(msgspec.json.encode(event), type=m.RawEvent)
    except msgspec.ValidationError:
        decodes = False
    else:
        decodes = True
    assert validator(RAW.name).is_valid(event) == decodes


def test_a_raw_event_of_an_unknown_kind_or_with_a_field_missing_does_not_fit():
    check = validator(RAW.name)
    assert check.is_valid(RAW_EVENT)
    assert not check.is_valid({**RAW_EVENT, "kind": "gossip"})
    for field in RAW_EVENT:
        assert not check.is_valid({name: value for name, value in RAW_EVENT.items() if name != field})


def test_the_items_of_a_struct_bear_the_names_of_its_fields():
    def names(schema):
        return [item["title"] for item in SCHEMAS[schema]["items"]]

    assert names("PredictionMessage") == list(m.LaneMessage.__struct_fields__)
    assert names("Prediction") == list(KINDS["prediction"].__struct_fields__)
    assert names("weather.Place") == ["north", "east"]
