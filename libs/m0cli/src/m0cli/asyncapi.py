"""The AsyncAPI description of every topic, generated from the topic catalogue, the messages and the domains.

`python -m m0cli.asyncapi` prints it; docs/asyncapi.json is that, with the domains that are installed.
Source of the format: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Protocol

import msgspec
from m0common import messages as m
from m0common import topics as t
from m0lanes.bodies import KINDS
from m0lanes.control import PAYLOADS

from m0cli.schemas import Json, Schemas, ref, when_item, when_property

VERSION = "2.0.0"
"""Of the description. Topics carry their own: what breaks readers is a new topic."""
DESCRIPTION = (
    "A schema describes the decoded value, in JSON Schema draft 7. `m0.raw.v1` is JSON, every other topic MessagePack. "
    "There bytes (`format: binary`) are `bin`, and a struct is an array whose items are titled by their fields; fields "
    "with a default may be missing at the end, and readers ignore items that they do not know. What the payload of a "
    "raw event and the body of a lane message are follows from `kind`; schemas of a domain begin with its name."
)

MESSAGES: dict[str, type[msgspec.Struct]] = {
    t.RAW.name: m.RawEvent,
    t.PROVISIONAL_ROWS.name: m.ProvisionalRow,
    t.PROVISIONAL.name: m.ProvisionalPrediction,
    **{topic.name: m.StateBatch for topic in t.STATE.values()},
    t.MANIFESTS.name: m.Manifest,
    t.HEADERS.name: m.HeaderMessage,
    t.BUNDLES.name: m.BundlePiece,
    t.SUBMISSIONS.name: m.Submission,
    t.FINALIZED_EPOCHS.name: m.FinalizedEpoch,
    t.FINALIZED_PREDICTIONS.name: m.FinalizedPrediction,
    t.OUTCOMES.name: m.MarketOutcome,
    t.REGISTRY.name: m.RegistryMarket,
    t.DLQ.name: m.DeadLetter,
}
"""Topics of one kind of message. What is neither here nor a lane's is private to one service, or not written yet."""

_ALWAYS = ("generation", "marker", "rebased")
LANES: dict[str, tuple[str, tuple[str, ...], bool]] = {
    t.NORMALIZED.name: ("NormalizedMessage", (*_ALWAYS, "market_opened", "market_closed"), True),
    t.FEATURES.name: ("FeatureMessage", (*_ALWAYS, "market_opened", "market_closed", "feature_row"), True),
    t.PREDICTIONS.name: ("PredictionMessage", (*_ALWAYS, "prediction"), False),
}
"""The lane topics: the name of their message, the heart's kinds in it, and whether a domain's own are in it too."""


class Bodies(Protocol):
    """The part of a domain that is described: see m0lanes.port.Domain."""

    name: str
    payloads: Mapping[str, type[msgspec.Struct]]
    bodies: Mapping[str, type[msgspec.Struct]]


def installed() -> list[Bodies]:
    """The domains of this environment, by name."""
    found: list[Bodies] = [entry.load() for entry in entry_points(group="m0.domains")]
    return sorted(found, key=lambda domain: domain.name)


def document(domains: Sequence[Bodies]) -> Json:
    """The whole description as JSON values."""
    names = {topic: name for topic, (name, *_) in LANES.items()}
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
                    "contentType": "application/json" if name == m.RawEvent.__name__ else "application/msgpack",
                    "payload": ref(name),
                }
                for name in sorted(set(names.values()))
            },
            "schemas": _schemas(domains),
        },
    }


def render() -> str:
    """The text of docs/asyncapi.json."""
    return json.dumps(document(installed()), indent=1, ensure_ascii=False) + "\n"


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


def _schemas(domains: Sequence[Bodies]) -> Json:
    schemas = Schemas()
    schemas.add([*MESSAGES.values(), *PAYLOADS.values(), *KINDS.values(), m.LaneMessage])
    payloads = {kind: [struct.__name__] for kind, struct in PAYLOADS.items()}
    bodies: dict[str, list[str]] = {}
    for domain in domains:
        schemas.add([*domain.payloads.values(), *domain.bodies.values()], domain.name)
        _name(payloads, domain.payloads, domain.name)
        _name(bodies, domain.bodies, domain.name)
    found = schemas.found
    envelope = found.pop(m.LaneMessage.__name__)
    for name, own, with_domains in LANES.values():
        kinds = {kind: [KINDS[kind].__name__] for kind in own} | (bodies if with_domains else {})
        found[name] = envelope | {"title": name} | when_item(envelope, m.LaneMessage.__struct_fields__, kinds)
    raw = found[m.RawEvent.__name__]
    raw["allOf"] = when_property("kind", "payload", payloads)
    raw["properties"]["kind"]["enum"] = list(payloads)
    return dict(sorted(found.items()))


def _name(kinds: dict[str, list[str]], structs: Mapping[str, type[msgspec.Struct]], owner: str) -> None:
    """Several domains may say one kind: which of them spoke follows from the catalog."""
    for kind, struct in sorted(structs.items(), key=lambda item: item[0]):
        kinds.setdefault(kind, []).append(f"{owner}.{struct.__name__}")


if __name__ == "__main__":
    print(render(), end="")
