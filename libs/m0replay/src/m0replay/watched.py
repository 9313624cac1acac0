"""A domain that tells on itself: every call goes through, and what the port does not allow is noted with its place.

The heart would make a dead letter of it, or a blocked leaf; who checks a domain wants to know what it was.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from m0common.told import Raised, in_words
from m0lanes.bodies import MarketOpened
from m0lanes.feature import checked_row
from m0lanes.model import checked_distribution
from m0lanes.port import Distribution, Domain, Event, Model, Refused, Step, View
from m0lanes.view import Bodies, Space

R = TypeVar("R")
TEXT_MAX = 300


class Notes:
    """What was noted: a sentence for each place and kind of fault, and how often each call came to something."""

    def __init__(self) -> None:
        self._faults: dict[tuple[str, str], str] = {}
        self.taken: Counter[str] = Counter()

    def fault(self, where: str, what: str, sort: str) -> None:
        """Note a fault, once of its sort in one place."""
        self._faults.setdefault((where, sort), f"{where}: {what}"[:TEXT_MAX])

    @property
    def faults(self) -> list[str]:
        """The sentences."""
        return list(self._faults.values())

    def call(self, where: str, call: Callable[[], R], *, refuses: bool = False) -> R:
        """What a call comes to. Whatever it raises is a fault, but for Refused where the port has it.

        Raises Refused and Raised, which the heart makes letters of: what would end a service does not end a check.
        """
        try:
            return call()
        except Refused as error:
            if not refuses:
                self.fault(
                    where,
                    f"only check, outcome, normalize and learn refuse, here it must not: {in_words(error, str)}",
                    "Refused",
                )
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            what = in_words(error)
            self.fault(where, f"raises {what}: raise Refused where an event means nothing", type(error).__name__)
            raise Raised(what) from error

    def bound(self, where: str, check: Callable[[], object]) -> None:
        """Note what the heart would refuse of a result."""
        try:
            check()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - what is no result at all fails in any way
            self.fault(where, f"the heart refuses its result: {in_words(error, str)}", "result")

    def step(self, where: str, view: View, made: Step, bodies: Mapping[str, type[msgspec.Struct]] | None) -> Step:
        """A step, noted when the heart would refuse it. `bodies`: what may be said; None where nothing may."""
        assert isinstance(view, Space)
        self.bound(where, lambda: view.checked(made))
        if bodies is None:
            if getattr(made, "say", ()) or getattr(made, "stop", ()):
                self.fault(where, "says or stops something, which is for normalize alone", "says")
            return made
        self.bound(where, lambda: Bodies(bodies).said(made.say))
        self.bound(where, lambda: self._stops(where, view, made))
        return made

    def _stops(self, where: str, view: View, made: Step) -> None:
        for market_id in made.stop:
            if view.market(market_id) is None:
                self.fault(where, f"stops {market_id}, which is not open", "stop")


class WatchedModel:
    """See Model. It is so many versions `ahead` of what it watches."""

    def __init__(self, model: Model, notes: Notes, ahead: int) -> None:
        self.name, self.version = model.name, model.version + ahead
        self.entities: Mapping[str, type[msgspec.Struct]] = model.entities
        self.learns: Sequence[str] = model.learns
        self._model, self._notes = model, notes

    def artifact(self) -> bytes:
        """See Model."""
        return self._model.artifact()

    def learn(self, view: View, body: msgspec.Struct) -> Step:
        """See Model."""
        where = f"learn of a {type(body).__name__}"
        made = self._notes.call(where, lambda: self._model.learn(view, body), refuses=True)
        return self._notes.step(where, view, made, None)

    def predict(self, view: View, market: MarketOpened, row: Mapping[str, int]) -> Distribution:
        """See Model."""
        where = f"predict of a market of {', '.join(market.outcomes)}"
        said = self._notes.call(where, lambda: self._model.predict(view, market, row))
        self._notes.bound(where, lambda: checked_distribution(said, market))
        if getattr(said, "outcomes", ()):
            self._notes.taken["predict"] += 1
        return said


class WatchedDomain:
    """See Domain. `outcomes` are those of the markets that its events are asked to decide; so many versions `ahead` are
    it and its models.
    """

    def __init__(
        self, domain: Domain, notes: Notes, outcomes: Sequence[tuple[str, ...]], ahead: tuple[int, int] = (0, 0)
    ) -> None:
        self.name, self.version = domain.name, domain.version + ahead[0]
        self.payloads: Mapping[str, type[msgspec.Struct]] = domain.payloads
        self.bodies: Mapping[str, type[msgspec.Struct]] = domain.bodies
        self.normalize_entities: Mapping[str, type[msgspec.Struct]] = domain.normalize_entities
        self.feature_entities: Mapping[str, type[msgspec.Struct]] = domain.feature_entities
        self.deciding: Sequence[str] = domain.deciding
        self.models: Mapping[str, Model] = {
            name: WatchedModel(model, notes, ahead[1]) for name, model in sorted(domain.models.items())
        }
        self._domain, self._notes, self._outcomes = domain, notes, outcomes

    def check(self, kind: str, payload: msgspec.Struct) -> None:
        """See Domain. What passes is asked for the outcome that it decides, as connectors do."""
        self._notes.call(f"check of a {kind}", lambda: self._domain.check(kind, payload), refuses=True)
        for outcomes in self._outcomes:
            try:
                index = self.outcome(kind, payload, outcomes)
            except Refused:
                continue
            if index is not None and index not in range(len(outcomes)):
                self._notes.fault(f"outcome of a {kind}", f"says {index} of {len(outcomes)} outcomes", "index")

    def outcome(self, kind: str, payload: msgspec.Struct, outcomes: Sequence[str]) -> int | None:
        """See Domain."""
        return self._notes.call(
            f"outcome of a {kind}", lambda: self._domain.outcome(kind, payload, outcomes), refuses=True
        )

    def normalize(self, view: View, event: Event) -> Step:
        """See Domain."""
        where = f"normalize of a {event.kind}"
        made = self._notes.call(where, lambda: self._domain.normalize(view, event), refuses=True)
        self._notes.taken[event.kind] += 1
        return self._notes.step(where, view, made, self.bodies)

    def observe(self, view: View, body: msgspec.Struct) -> Step:
        """See Domain."""
        where = f"observe of a {type(body).__name__}"
        made = self._notes.call(where, lambda: self._domain.observe(view, body))
        return self._notes.step(where, view, made, None)

    def features(self, view: View, market: MarketOpened, at_ms: int) -> Mapping[str, int]:
        """See Domain."""
        where = f"features of a market of {', '.join(market.outcomes)}"
        row = self._notes.call(where, lambda: self._domain.features(view, market, at_ms))
        self._notes.bound(where, lambda: checked_row(row))
        return row

    def forget(self, view: View, market: MarketOpened) -> Step:
        """See Domain."""
        where = f"forget of a market of {', '.join(market.outcomes)}"
        made = self._notes.call(where, lambda: self._domain.forget(view, market))
        return self._notes.step(where, view, made, None)
