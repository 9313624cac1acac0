"""Football: match results of a league to the probabilities of its next matches."""

from collections.abc import Mapping, Sequence

import msgspec
from m0lanes.bodies import MarketOpened
from m0lanes.port import Domain, Event, Model, Step, View

from m0domains.sports import bodies, features, normalization, payloads
from m0domains.sports.models import Football


class Sports:
    """See Domain."""

    name = "sports"
    version = 2
    payloads: Mapping[str, type[msgspec.Struct]] = payloads.PAYLOADS
    bodies: Mapping[str, type[msgspec.Struct]] = bodies.BODIES
    normalize_entities: Mapping[str, type[msgspec.Struct]] = normalization.ENTITIES
    feature_entities: Mapping[str, type[msgspec.Struct]] = features.ENTITIES
    deciding: Sequence[str] = (
        "__init__.py",
        "bodies.py",
        "features.py",
        "guardrails.py",
        "models.py",
        "normalization.py",
        "payloads.py",
    )

    def __init__(self) -> None:
        football = Football()
        self.models: Mapping[str, Model] = {football.name: football}

    def check(self, kind: str, payload: msgspec.Struct) -> None:  # noqa: ARG002 - the payload says its kind
        """See Domain."""
        payloads.check(payload)

    def outcome(self, kind: str, payload: msgspec.Struct, outcomes: Sequence[str]) -> int | None:  # noqa: ARG002 - the payload says its kind
        """See Domain."""
        return payloads.outcome(payload, outcomes)

    def normalize(self, view: View, event: Event) -> Step:
        """See Domain."""
        return normalization.normalize(view, event)

    def observe(self, view: View, body: msgspec.Struct) -> Step:
        """See Domain."""
        return features.observe(view, body)

    def features(self, view: View, market: MarketOpened, at_ms: int) -> Mapping[str, int]:
        """See Domain."""
        return features.features(view, market, at_ms)

    def forget(self, view: View, market: MarketOpened) -> Step:
        """See Domain."""
        return features.forget(view, market)


DOMAIN: Domain = Sports()
