"""The generated description of the topics: up to date, whole, and true of messages as they are written."""

import typing
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0common import asyncapi
from m0common import messages as m
from m0common.canonical import Outcome
from m0common.topics import RAW, TOPICS

COMMITTED = Path(__file__).parents[3] / "docs" / "asyncapi.json"
DOCUMENT = asyncapi.document()
SCHEMAS = DOCUMENT["components"]["schemas"]
PAYLOADS = {
    "catalog": {
        "catalog": "crypto",
        "epoch_ms": 20_000,
        "signer_set_id": 1,
        "model": "book_consensus",
        "groups": ["btc"],
        "params": {"stale_ms": 15_000},
    },
    "market_open": {
        "catalog": "crypto",
        "outcomes": ["UP", "DOWN"],
        "schema_version": 1,
        "opens_ms": 1,
        "title": "BTC",
        "attributes": {"home": "a"},
    },
    "market_close": {"catalog": "crypto", "reason": "over"},
    "epoch_end": {"catalog": "crypto", "epoch_id": 3, "window_start_ms": 1, "window_end_ms": 2, "partitions": 2},
    "match_result": {
        "home": "Arsenal",
        "away": "Chelsea",
        "home_goals": 1,
        "away_goals": 0,
        "season": "2015-16",
        "original_ms": 1,
    },
    "book": {"bids": [[400_000_000, 5]], "asks": [[500_000_000, 5], [600_000_000, 1]], "original_ms": 1},
    "quote": {"p_ppb": [500_000_000, 500_000_000], "original_ms": 1},
}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**54), 2**54),
    st.sampled_from([0, 1, 99, 100, 999, 1000, 2**32]),
    st.text(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=2)),
)
RAW_EVENT = {
    "source": "s",
    "source_event_id": "1",
    "group": "btc",
    "market_id": "M",
    "kind": "quote",
    "event_ms": 1,
    "received_ms": 2,
    "payload": PAYLOADS["quote"],
}


def test_the_committed_file_is_what_the_generator_writes():
    assert COMMITTED.read_text() == asyncapi.render(), "run 'make asyncapi'"


def test_every_topic_and_every_kind_of_payload_is_described():
    assert list(DOCUMENT["channels"]) == [topic.name for topic in TOPICS]
    assert {rule["if"]["properties"]["kind"]["const"] for rule in SCHEMAS["RawEvent"]["allOf"]} == m.PAYLOADS.keys()


def test_every_reference_leads_somewhere():
    def references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    for reference in references(DOCUMENT):
        place = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


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


BODIES = {topic: st.sampled_from(typing.get_args(union)) for topic, (_, union) in asyncapi.LANE_BODIES.items()}
STRUCTS = [(topic, struct) for topic, struct in asyncapi.MESSAGES.items() if topic != RAW.name]
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))  # what MessagePack can hold
st.register_type_strategy(Outcome, st.builds(Outcome, *[st.integers(0, 10**9)] * 3))


@pytest.mark.parametrize(("topic", "struct"), STRUCTS, ids=lambda value: getattr(value, "__name__", ""))
def test_messages_as_they_are_written_fit_their_schema(topic, struct):
    check = validator(topic)

    @given(st.from_type(struct))
    @settings(max_examples=30, deadline=None)
    def fits(message):
        check.validate(written(message))

    fits()


@pytest.mark.parametrize("topic", asyncapi.LANE_BODIES)
def test_lane_messages_fit_the_schema_of_their_topic_and_of_no_other_body(topic):
    check = validator(topic)

    @given(st.data(), st.integers(0, 2**40))
    @settings(max_examples=40, deadline=None)
    def fits(data, number):
        body = data.draw(st.from_type(data.draw(BODIES[topic])))
        check.validate(written(m.LaneMessage("sports", 0, number, number, body)))

    fits()
    foreign = m.Quote(b"", "M", 0, ()) if topic != "m0.normalized.v1" else m.FeatureRow("M", 0, True, (), b"")
    assert not check.is_valid(written(m.LaneMessage("sports", 0, 1, 1, foreign)))


@pytest.mark.parametrize("kind", m.PAYLOADS)
def test_a_raw_event_fits_exactly_when_its_payload_can_be_decoded(kind):
    check, struct = validator(RAW.name), m.PAYLOADS[kind]
    field = st.sampled_from(struct.__struct_fields__)

    @given(st.dictionaries(field, VALUES, max_size=1), st.sets(field, max_size=1))
    @settings(max_examples=150, deadline=None)
    def agree(changed, dropped):
        payload = {name: value for name, value in {**PAYLOADS[kind], **changed}.items() if name not in dropped}
        try:
            msgspec.convert(payload, struct)
        except msgspec.ValidationError:
            decodes = False
        else:
            decodes = True
        assert check.is_valid({**RAW_EVENT, "kind": kind, "payload": payload}) == decodes

    assert check.is_valid({**RAW_EVENT, "kind": kind, "payload": PAYLOADS[kind]})
    agree()


def test_a_raw_event_of_an_unknown_kind_or_with_a_field_missing_does_not_fit():
    check = validator(RAW.name)
    assert check.is_valid(RAW_EVENT)
    assert not check.is_valid({**RAW_EVENT, "kind": "gossip"})
    for field in RAW_EVENT:
        assert not check.is_valid({name: value for name, value in RAW_EVENT.items() if name != field})


def test_the_items_of_a_struct_bear_the_names_of_its_fields():
    names = [item["title"] for item in SCHEMAS["PredictionMessage"]["items"]]
    assert names == list(m.LaneMessage.__struct_fields__)
    assert [item["title"] for item in SCHEMAS["Prediction"]["items"]] == ["type", *m.Prediction.__struct_fields__]
