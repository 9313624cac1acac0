"""Stage 1, one lane: what an event comes to once its window is open. Everything is asked here, once.

Who may say it, is it a repeat, is its market open, what is its payload, what does the domain make of it. An event is
applied (digested, perhaps with something to say), dropped as ordinary, or a dead letter with the state untouched.
"""

from collections.abc import Sequence
from enum import Enum

import msgspec
from m0common.canonical import LaneDigest
from m0common.errors import DeadLetterError
from m0common.messages import RawEvent

from m0lanes import tags
from m0lanes.authority import identity, is_signed_by
from m0lanes.bodies import MarketClosed, MarketOpened
from m0lanes.control import (
    MARKET_KINDS,
    PAYLOADS,
    MarketClosePayload,
    MarketOpenPayload,
    SourceRule,
)
from m0lanes.dedupe import Known, Repeats
from m0lanes.door import decode_payload
from m0lanes.entities import Entities, entity_key
from m0lanes.generations import Generation
from m0lanes.packing import pack, unpack
from m0lanes.port import Domain, Event, Refused
from m0lanes.view import Bodies, Space, letter_about, owner_of

MARKETS_MAX = 100_000
"""Markets that may be open in a lane."""
ENTITIES_MAX = 500_000
"""So much a domain remembers in a lane; one that would remember more gets no further. A restart takes seconds."""
TEXT_MAX_BYTES = 512
"""Titles, outcomes and attributes, measured in UTF-8."""

Said = tuple[str, bytes]
"""A kind and the bytes of a body."""
Voice = tuple[SourceRule, Known]
"""What a source may say, and what of it is known already, in one group."""


class Dropped(Enum):
    """Why an event is ordinary: it counts for nothing and costs nothing."""

    REPEAT = "repeat"
    MARKET_NOT_OPEN = "market_not_open"


class MarketState(msgspec.Struct, frozen=True, array_like=True):
    """A market that the registry has open; `stopped`: the domain predicts it no longer."""

    market: MarketOpened
    stopped: bool


class Applier:
    """Applies events: the open markets of a lane and what its domain knows, made from the lane's entities."""

    def __init__(self, entities: Entities, catalog: str, genesis_hash: bytes, entities_max: int) -> None:
        self._entities = entities
        self._entities_max = entities_max
        self._catalog = catalog
        self._genesis_hash = genesis_hash
        self.markets: dict[str, MarketOpened] = {}
        self.stopped: set[str] = set()
        for _, value in entities.each(entity_key(tags.MARKET)):
            state = unpack(value, MarketState)
            self.markets[state.market.market_id] = state.market
            if state.stopped:
                self.stopped.add(state.market.market_id)
        self._repeats = Repeats(entities)
        self._voices: dict[tuple[str, str, str], Voice] = {}
        """By source, group and kind, of those that the generation in use lists."""
        self._generation: Generation | None = None
        self._domain: Domain | None = None
        self._space: Space | None = None
        self._bodies = Bodies({})

    def use(self, generation: Generation, domain: Domain) -> None:
        """Work with a generation from here on."""
        self._generation, self._domain = generation, domain
        self._voices.clear()
        self._space = Space(
            self._entities,
            tags.DOMAIN,
            owner_of(domain),
            domain.normalize_entities,
            self.markets,
            generation.params,
            self._entities_max,
        )
        self._bodies = Bodies(domain.bodies)

    def close_all(self) -> None:
        """Close every market without a word."""
        for market_id in sorted(self.markets):
            self._close(market_id)

    def close_others(self, groups: frozenset[str]) -> list[Said]:
        """Close the markets of groups that are not among these."""
        said: list[Said] = []
        for market_id in sorted(m for m, market in self.markets.items() if market.group not in groups):
            said += self._close(market_id)
        return said

    def apply(self, event: RawEvent, append_ms: int, digest: LaneDigest) -> list[Said] | Dropped:
        """Apply one event; returns what it says to the next stage. Raises DeadLetterError, the state untouched but for
        the number of an event that its source signed: whoever has a copy of it does not choose when it counts.
        """
        kind, seq, event_id = event.kind, event.source_seq, identity(event)
        rule, known = self._voices.get((event.source, event.group, kind)) or self._voice(event)
        if rule.key is not None and not is_signed_by(event, event_id, self._genesis_hash, bytes.fromhex(rule.key)):
            raise DeadLetterError("wrong_signature", f"source {event.source!r} signs with {rule.key}: this is not it")
        if rule.dense and seq < 1:
            raise DeadLetterError(
                "no_source_seq", f"source {event.source!r} numbers its events: source_seq counts from 1 per group"
            )
        if known.seen(seq, event_id):
            return Dropped.REPEAT
        numbered = rule.dense and rule.key is not None
        if numbered:
            known.add(seq, event_id)
        if kind in MARKET_KINDS:
            said = self._market_event(event)
        elif event.market_id is None or self._is_open(event.market_id, event.group):
            said = self._observation(event, event_id, append_ms)
        else:
            return Dropped.MARKET_NOT_OPEN
        if not numbered:
            known.add(seq, event_id)
        digest.add(event_id)
        return said

    def note(self, event: RawEvent, made: Generation) -> bool:
        """Note the number of an event that is dropped and counts for nothing else, so that a copy of it is a repeat;
        False unless its source signs and numbers its events in `made` and this is signed by it: nobody else takes
        numbers away.
        """
        key, rule, seq = made.key_of(event.source, event.kind), made.rule(event.source), event.source_seq
        if key is None or rule is None or not rule.dense or seq < 1:
            return False
        event_id = identity(event)
        if not is_signed_by(event, event_id, self._genesis_hash, key):
            return False
        known = self._repeats.of(event.source, event.group, dense=True)
        if not known.seen(seq, event_id):
            known.add(seq, event_id)
        return True

    def write_back(self) -> None:
        """Write what is kept at hand into entities."""
        self._repeats.write_back()

    def _voice(self, event: RawEvent) -> Voice:
        """The voice of an event. Raises DeadLetterError when its source is not listed for its kind."""
        generation = self._generation
        assert generation is not None, "events reach lanes that a generation is in force in"
        rule = generation.rule(event.source)
        if rule is None or event.kind not in rule.kinds:
            raise DeadLetterError(
                "unlisted_source",
                f"source {event.source!r} may not say {event.kind!r} in catalog {self._catalog}: list it there",
            )
        known = self._repeats.of(event.source, event.group, dense=rule.dense)
        voice = self._voices[event.source, event.group, event.kind] = rule, known
        return voice

    def _market_event(self, event: RawEvent) -> list[Said]:
        payload = decode_payload(event, PAYLOADS)
        if event.market_id is None:
            raise DeadLetterError("invalid_payload", f"{event.kind}: market_id is missing: it is about one market")
        assert isinstance(payload, MarketOpenPayload | MarketClosePayload)
        if payload.catalog != self._catalog:
            raise DeadLetterError(
                "wrong_catalog",
                f"{event.market_id} is of catalog {payload.catalog!r}, its group {event.group!r} of {self._catalog!r}",
            )
        market = self.markets.get(event.market_id)
        if market is not None and market.group != event.group:
            raise DeadLetterError("wrong_group", f"{event.market_id} is open in group {market.group!r}")
        if isinstance(payload, MarketOpenPayload):
            return [] if market is not None else self._open(event.market_id, event.group, payload)
        return [] if market is None else self._close(event.market_id)

    def _open(self, market_id: str, group: str, payload: MarketOpenPayload) -> list[Said]:
        if len(self.markets) >= MARKETS_MAX:
            raise DeadLetterError("lane_full", f"{len(self.markets)} markets are open: at most {MARKETS_MAX} in a lane")
        if len(set(payload.outcomes)) != len(payload.outcomes):
            raise DeadLetterError("invalid_payload", f"market_open: {market_id} names an outcome twice")
        texts = (payload.title, *payload.outcomes, *payload.attributes.values())
        if any(len(text.encode()) > TEXT_MAX_BYTES for text in texts):
            raise DeadLetterError(
                "invalid_payload", f"market_open: a text of {market_id} has over {TEXT_MAX_BYTES} bytes"
            )
        attributes = tuple(sorted(payload.attributes.items()))
        market = MarketOpened(market_id, group, payload.outcomes, payload.schema_version, payload.opens_ms, attributes)
        self._put(market, stopped=False)
        return [("market_opened", pack(market))]

    def _is_open(self, market_id: str, group: str) -> bool:
        market = self.markets.get(market_id)
        if market is not None and market.group != group:
            raise DeadLetterError("wrong_group", f"{market_id} is open in group {market.group!r}")
        return market is not None

    def _observation(self, event: RawEvent, event_id: bytes, append_ms: int) -> list[Said]:
        domain, space = self._domain, self._space
        assert domain is not None
        assert space is not None
        try:
            payload = decode_payload(event, domain.payloads)
        except DeadLetterError:
            raise
        except Exception as error:  # a payload may check itself, with code of the domain's
            raise letter_about(space, error) from error
        seen = Event(
            event_id,
            event.source,
            event.source_event_id,
            event.source_seq,
            event.group,
            event.market_id,
            event.kind,
            event.event_ms,
            append_ms,
            payload,
        )
        # nothing is changed before all of it is checked
        try:
            domain.check(event.kind, payload)
            made = domain.normalize(space, seen)
            stops = self._stopped(made.stop) if made.stop else ()
            changes = space.checked(made) if made.changes else ()
            said = self._bodies.said(made.say)
        except Exception as error:
            raise letter_about(space, error) from error
        if changes:
            space.apply(changes)
        for market_id in stops:
            if market_id not in self.stopped:
                self._put(self.markets[market_id], stopped=True)
                said.append(("market_closed", pack(MarketClosed(market_id))))
        return said

    def _stopped(self, stop: Sequence[str]) -> Sequence[str]:
        """The markets that a domain stops, ascending, each once. Raises Refused."""
        stops = sorted(set(stop))
        for market_id in stops:
            if market_id not in self.markets:
                raise Refused(f"{market_id} is not open: it cannot be stopped")
        return stops

    def _put(self, market: MarketOpened, *, stopped: bool) -> None:
        self.markets[market.market_id] = market
        if stopped:
            self.stopped.add(market.market_id)
        self._entities.put(entity_key(tags.MARKET, market.market_id), pack(MarketState(market, stopped)))

    def _close(self, market_id: str) -> list[Said]:
        del self.markets[market_id]
        self._entities.drop(entity_key(tags.MARKET, market_id))
        if market_id in self.stopped:
            self.stopped.discard(market_id)
            return []
        return [("market_closed", pack(MarketClosed(market_id)))]
