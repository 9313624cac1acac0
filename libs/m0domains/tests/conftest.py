"""A stand-in for the heart: it checks what the heart checks, and applies steps to a View in memory."""

import json
from collections.abc import Iterator

import msgspec
import pytest
from m0lanes.bodies import MarketOpened
from m0lanes.port import (
    BODY_MAX_BYTES,
    CHANGES_MAX,
    ENTITY_MAX_BYTES,
    KEY_PART_MAX_BYTES,
    Drop,
    Event,
    Put,
    Refused,
    Step,
)

I64 = 1 << 63
NOW_MS = 1_790_000_000_000


class MemoryView:
    """Entities of one stage. A cold one keeps bytes alone and forgets its cache at every call."""

    def __init__(self, kinds, world, cold):
        self._names = {kind: name for name, kind in kinds.items()}
        self._kinds = kinds
        self._world = world
        self._cold = cold
        self._cache = {}
        self.entities = {}

    @property
    def params(self):
        return self._world.params

    @property
    def cache(self):
        return self._cache

    def begin(self):
        if self._cold:
            self._cache = {}

    def get(self, kind, *parts):
        raw = self.entities.get((self._names[kind], parts))
        return None if raw is None else self._value(kind, raw)

    def each(self, kind, *first) -> Iterator:
        name = self._names[kind]
        for key, parts in sorted(self.entities):
            if key == name and parts[: len(first)] == first:
                yield parts, self._value(kind, self.entities[key, parts])

    def market(self, market_id):
        return self._world.markets.get(market_id)

    def apply(self, step):
        assert isinstance(step, Step)
        assert len(step.changes) <= CHANGES_MAX
        for change in step.changes:
            kind = change.kind if isinstance(change, Drop) else type(change.value)
            key = self._names[kind], change.parts
            assert all(isinstance(part, str) and len(part.encode()) <= KEY_PART_MAX_BYTES for part in change.parts)
            if isinstance(change, Put):
                raw = msgspec.msgpack.encode(change.value)
                assert len(raw) <= ENTITY_MAX_BYTES
                assert msgspec.msgpack.decode(raw, type=kind) == change.value
                self.entities[key] = raw if self._cold else change.value
            else:
                assert key in self.entities, "dropped what is not there"
                del self.entities[key]

    def digest(self):
        """Every entity as bytes."""
        return {
            key: value if isinstance(value, bytes) else msgspec.msgpack.encode(value)
            for key, value in self.entities.items()
        }

    def _value(self, kind, raw):
        return msgspec.msgpack.decode(raw, type=kind) if isinstance(raw, bytes) else raw


class World:
    """One lane of a domain with its first model."""

    def __init__(self, domain, *, cold=False, params=None):
        self.domain = domain
        self.model = next(iter(domain.models.values()))
        self.params = params or {}
        self.markets = {}
        self.stopped = set()
        self.views = [
            MemoryView(kinds, self, cold)
            for kinds in (domain.normalize_entities, domain.feature_entities, self.model.entities)
        ]
        self._count = 0

    def open(self, market_id, group, outcomes, **attributes):
        market = MarketOpened(market_id, group, tuple(outcomes), 1, NOW_MS, tuple(sorted(attributes.items())))
        self.markets[market_id] = market
        return market

    def close(self, market_id):
        market = self.markets.pop(market_id)
        self._call(1, lambda view: self.domain.forget(view, market))

    def say(self, kind, payload, *, group, market_id=None, event_ms=NOW_MS):
        """Take in an event as JSON; returns what was said. Raises Refused, and nothing else, on what is no event."""
        kept = self.domain.payloads[kind]
        try:
            decoded = msgspec.json.decode(json.dumps(payload).encode(errors="replace"), type=kept)
        except msgspec.ValidationError as error:
            raise Refused(str(error)) from error
        self.domain.check(kind, decoded)
        self._count += 1
        event = Event(
            self._count.to_bytes(32), "test", str(self._count), self._count, group, market_id, kind, event_ms,
            event_ms, decoded,
        )  # fmt: skip
        step = self._call(0, lambda view: self.domain.normalize(view, event))
        assert set(step.stop) <= set(self.markets)
        for stopped in step.stop:
            self.stopped.add(stopped)
            self.close(stopped)
        said = []
        for body in step.say:
            raw = msgspec.msgpack.encode(body)
            assert len(raw) <= BODY_MAX_BYTES
            assert type(body) in self.domain.bodies.values()
            said.append(msgspec.msgpack.decode(raw, type=type(body)))
        for body in said:
            self._call(1, lambda view, body=body: self.domain.observe(view, body))
            self._call(2, lambda view, body=body: self.model.learn(view, body))
        return said

    def row(self, market_id, at_ms=NOW_MS):
        market = self.markets[market_id]
        self.views[1].begin()
        row = dict(self.domain.features(self.views[1], market, at_ms))
        assert all(name.isascii() and -I64 <= value < I64 for name, value in row.items())
        return row

    def predict(self, market_id, at_ms=NOW_MS):
        market, row = self.markets[market_id], self.row(market_id, at_ms)
        self.views[2].begin()
        said = self.model.predict(self.views[2], market, row)
        assert 0 <= said.risk_bps <= 10_000
        if said.outcomes:
            assert len(said.outcomes) == len(market.outcomes)
            assert sum(p for p, _, _ in said.outcomes) == 1_000_000_000
            assert all(0 <= lo <= p <= hi <= 1_000_000_000 for p, lo, hi in said.outcomes)
        return said

    def state(self):
        return [view.digest() for view in self.views]

    def _call(self, stage, call):
        view = self.views[stage]
        view.begin()
        try:
            step = call(view)
        except Refused as error:
            if stage:
                raise AssertionError("only normalize refuses") from error
            raise
        assert stage == 0 or not (step.say or step.stop), "only normalize says and stops"
        view.apply(step)
        return step


@pytest.fixture(scope="session")
def world():
    """A lane: `world(DOMAIN, cold=False, params={})`."""
    return World
