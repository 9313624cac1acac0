"""The AsyncAPI description of every topic, generated from the topic catalogue and the messages.

`python -m m0common.asyncapi` prints it; docs/asyncapi.json is that.
Source of the format: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import inspect
import json
from typing import Any, get_args

import msgspec

from m0common import messages as m
from m0common import topics as t

Json = dict[str, Any]  # a JSON document has many shapes

VERSION = "1.0.0"
"""Of the description. Topics carry their own: what breaks readers is a new topic."""
DESCRIPTION = (
    "A schema describes the decoded value, in JSON Schema draft 7. `m0.raw.v1` is JSON, every other topic MessagePack. "
    "There bytes (`format: binary`) are `bin`, and a struct is an array whose items are titled by their fields; fields "
    "with a default may be missing at the end, and readers ignore items that they do not know."
)

LANE_BODIES: dict[str, tuple[str, Any]] = {
    t.NORMALIZED.name: ("NormalizedMessage", m.NormalizedBody),
    t.FEATURES.name: ("FeatureMessage", m.FeatureBody),
    t.PREDICTIONS.name: ("PredictionMessage", m.PredictionBody),
}
"""The lane topics: the name of their message and the bodies in it."""

MESSAGES: dict[str, type[msgspec.Struct]] = {
    t.RAW.name: m.RawEvent,
    t.CHECKPOINTS.name: m.Checkpoint,
    t.BUNDLES.name: m.BundleMessage,
    t.SUBMISSIONS.name: m.Submission,
    t.FINALIZED_EPOCHS.name: m.FinalizedEpoch,
    t.FINALIZED_PREDICTIONS.name: m.FinalizedPrediction,
    t.OUTCOMES.name: m.MarketOutcome,
    t.REGISTRY.name: m.RegistryMarket,
    t.DLQ.name: m.DeadLetter,
}
"""The other topics. What is in none of both is written and read by one service alone, or not written yet."""


def document() -> Json:
    """The whole description as JSON values."""
    schemas = _schemas()
    names = {topic: name for topic, (name, _) in LANE_BODIES.items()}
    names |= {topic: struct.__name__ for topic, struct in MESSAGES.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "M0Club topics",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/msgpack",
        "channels": {topic.name: _channel(topic, names.get(topic.name)) for topic in t.TOPICS},
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "contentType": "application/json" if topic == t.RAW.name else "application/msgpack",
                    "payload": {"$ref": f"#/components/schemas/{name}"},
                }
                for topic, name in sorted(names.items(), key=lambda item: item[1])
            },
            "schemas": schemas,
        },
    }


def render() -> str:
    """The text of docs/asyncapi.json."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _channel(topic: t.Topic, message: str | None) -> Json:
    settings = topic.settings()
    configuration: Json = {"cleanup.policy": [settings["cleanup.policy"]]}
    configuration |= {name: int(settings[name]) for name in ("retention.ms", "max.message.bytes") if name in settings}
    return {
        "address": topic.name,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}} if message else {},
        "bindings": {"kafka": {"topic": topic.name, "topicConfiguration": configuration, "bindingVersion": "0.5.0"}},
        "x-key": topic.key,
        "x-partitioned-by": topic.partitioned_by,
        "x-producers": list(topic.producers),
        "x-consumers": list(topic.consumers),
    }


def _schemas() -> Json:
    structs = [*MESSAGES.values(), *m.PAYLOADS.values(), m.LaneMessage]
    _, found = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    schemas: Json = {name: _draft_7(schema) for name, schema in found.items()}
    for name, schema in schemas.items():
        _name_items(schema, getattr(m, name))
    envelope = schemas.pop("LaneMessage")
    for name, bodies in LANE_BODIES.values():
        body = {"anyOf": [_ref(struct.__name__) for struct in get_args(bodies)], "title": "body"}
        schemas[name] = envelope | {"title": name, "items": [*envelope["items"][:-1], body]}
    schemas["RawEvent"]["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": kind}}},
            "then": {"properties": {"payload": _ref(struct.__name__)}},
        }
        for kind, struct in m.PAYLOADS.items()
    ]
    schemas["RawEvent"]["properties"]["kind"]["enum"] = list(m.PAYLOADS)
    return dict(sorted(schemas.items()))


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _draft_7(value: Any) -> Any:
    """Tuples and bytes as draft 7 and MessagePack have them; msgspec writes draft 2020-12 for JSON."""
    if isinstance(value, list):
        return [_draft_7(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("contentEncoding") == "base64":
        return {k: v for k, v in value.items() if k != "contentEncoding"} | {"format": "binary"}
    changed = {key: _draft_7(item) for key, item in value.items()}
    if isinstance(value.get("description"), str):
        changed["description"] = inspect.cleandoc(value["description"])  # before Python 3.13 docstrings are indented
    if "prefixItems" in changed:
        if "items" in changed:
            changed["additionalItems"] = changed.pop("items")
        changed["items"] = changed.pop("prefixItems")
    return changed


def _name_items(schema: Json, struct: Any) -> None:
    """Give the items of a struct that is an array the names of its fields."""
    if not isinstance(schema.get("items"), list):
        return
    names = getattr(struct, "__struct_fields__", None) or struct._fields
    tagged = len(schema["items"]) - len(names)
    for name, item in zip(["type"] * tagged + list(names), schema["items"], strict=True):
        item["title"] = name


if __name__ == "__main__":
    print(render(), end="")
