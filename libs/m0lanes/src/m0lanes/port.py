"""The port of domains: what the heart asks of the code that knows what a football match or a poll is.

A domain is functional: it reads entities through a View and *returns* a Step with new ones and what to say. The heart
checks the bounds and applies a step whole or not at all. A raise costs one dead letter with the state untouched; in
`features` and `predict` it makes a blocked leaf. It must not read a clock, random numbers, the order of sets, or any
file but those named in `deciding`.

Every stage has entities of its own: `normalize` sees those that `normalize` returned, `observe` and `features` those
of `observe`, `learn` and `predict` those of `learn`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
from m0common.canonical import FLAGS
from m0common.fixedpoint import BPS

from m0lanes.bodies import MarketOpened

E = TypeVar("E", bound=msgspec.Struct)

Parts = tuple[str, ...]
"""What tells entities of one kind apart, for example a group and a team."""

ENTITY_MAX_BYTES = 64 << 10
BODY_MAX_BYTES = 128 << 10
BODIES_MAX = 64
CHANGES_MAX = 4_096
KEY_PART_MAX_BYTES = 1_024


class Refused(ValueError):
    """An event does not mean anything to the domain: one dead letter with this reason."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """An observation that passed the door, its payload decoded into the struct that the domain names for its kind."""

    event_id: bytes
    source: str
    source_event_id: str
    source_seq: int
    group: str
    market_id: str | None
    kind: str
    event_ms: int
    append_ms: int
    payload: msgspec.Struct


class Put(msgspec.Struct, frozen=True, gc=False):
    """An entity as it is from here on. Its kind follows from the type of `value`, see Domain.entities."""

    parts: Parts
    value: msgspec.Struct


class Drop(msgspec.Struct, frozen=True, gc=False):
    """An entity that is no more."""

    kind: type[msgspec.Struct]
    parts: Parts


class Step(msgspec.Struct, frozen=True, gc=False):
    """What an event comes to: entities changed, bodies said to the next stage, markets not predicted any more.

    `say` and `stop` are for `normalize` alone. The registry closes markets; a domain may only stop predicting one.
    """

    changes: Sequence[Put | Drop] = ()
    say: Sequence[msgspec.Struct] = ()
    stop: Sequence[str] = ()


NOTHING = Step()


class View(Protocol):
    """What a domain may read: its entities of this stage, open markets of the lane, the catalog's parameters."""

    @property
    def params(self) -> Mapping[str, int]:
        """Integer parameters of the catalog, guardrails included."""
        ...

    @property
    def cache(self) -> dict[Any, Any]:
        """Working objects made of entities alone, kept between calls of one lane and stage.

        The heart empties it whenever a step is refused, and a restart begins with an empty one: what is in it must be
        what the domain would build from the entities again, bit for bit.
        """
        ...

    def get(self, kind: type[E], *parts: str) -> E | None:
        """One entity, None when there is none."""
        ...

    def each(self, kind: type[E], *first: str) -> Iterator[tuple[Parts, E]]:
        """Entities of a kind whose parts begin with `first`, in order of their parts. Reads all of them: seldom."""
        ...

    def market(self, market_id: str) -> MarketOpened | None:
        """An open market of the lane, None for any other."""
        ...


@dataclass(frozen=True, slots=True)
class Distribution:
    """`outcomes` are `(p, lo, hi)` in ppb in registry order, summing to exactly 1e9; none when blocked."""

    outcomes: tuple[tuple[int, int, int], ...]
    risk_bps: int
    flags: FLAGS

    @classmethod
    def blocked(cls, why: FLAGS) -> "Distribution":
        """No outcomes, full risk, and the reason."""
        return cls((), BPS, FLAGS.BLOCKED | why)


class Model(Protocol):
    """A model of a domain; all its state is entities."""

    name: str
    version: int
    entities: Mapping[str, type[msgspec.Struct]]
    """Kinds of entities of `learn` by name. A name is bytes of state: changing it is another version."""

    learns: Sequence[str]
    """Kinds of the domain's bodies that `learn` takes in; the others end at the feature stage."""

    def artifact(self) -> bytes:
        """Canonical bytes of the parameters in use; leaves name their hash as `model_key`."""
        ...

    def learn(self, view: View, body: msgspec.Struct) -> Step:
        """Take in a body of the domain. Raises Refused. It costs what the body changes, however much is known: a fit of
        all of it belongs into `predict`, kept in `View.cache`.
        """
        ...

    def predict(self, view: View, market: MarketOpened, row: Mapping[str, int]) -> Distribution:
        """The distribution of one market from its row."""
        ...


class Domain(Protocol):
    """A plug-in, found by the entry point group `m0.domains`; the object itself, without arguments to make it."""

    name: str
    version: int
    payloads: Mapping[str, type[msgspec.Struct]]
    """Payloads of its observations by kind, with bounds in their types: integers as wide as canonical ones."""
    bodies: Mapping[str, type[msgspec.Struct]]
    """What it says in lane messages, by kind; none of the heart's own kinds."""
    normalize_entities: Mapping[str, type[msgspec.Struct]]
    feature_entities: Mapping[str, type[msgspec.Struct]]
    models: Mapping[str, Model]
    deciding: Sequence[str]
    """Files that decide a leaf, relative to the domain's folder, data included. No other file of it is imported by
    them.
    """

    def check(self, kind: str, payload: msgspec.Struct) -> None:
        """What types cannot say of a payload alone. Raises Refused. Connectors ask the same."""
        ...

    def outcome(self, kind: str, payload: msgspec.Struct, outcomes: Sequence[str]) -> int | None:
        """The index of the outcome that a checked event decides for a market of these outcomes; None: it decides none.

        Raises Refused when event and market do not fit.
        """
        ...

    def normalize(self, view: View, event: Event) -> Step:
        """Stage 1: one observation. The market it names, if any, is open. Raises Refused."""
        ...

    def observe(self, view: View, body: msgspec.Struct) -> Step:
        """Stage 2: a body of `normalize`."""
        ...

    def features(self, view: View, market: MarketOpened, at_ms: int) -> Mapping[str, int]:
        """Stage 2: a market's row at an event time; names are ASCII, values fit an i64."""
        ...

    def forget(self, view: View, market: MarketOpened) -> Step:
        """Stage 2: a market closed; drop what is kept about it."""
        ...


def param(view: View, name: str, default: int) -> int:
    """An integer parameter of the catalog, or its default."""
    return view.params.get(name, default)


def market_of(view: View, event: Event) -> MarketOpened:
    """The open market that an event names, of the event's own group. Raises Refused."""
    market = None if event.market_id is None else view.market(event.market_id)
    if market is None:
        raise Refused(f"a {event.kind} needs an open market, {event.market_id!r} is none")
    if market.group != event.group:
        raise Refused(f"{market.market_id} is of group {market.group}, the event of {event.group}")
    return market
