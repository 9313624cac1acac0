"""A domain in a chain: events made for it, played straight on, again, and restarted behind every record.

The same log must give the same messages whatever becomes of the process, so a domain that keeps something outside its
entities shows here, and so does one that raises or returns what the heart refuses.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from m0common.canonical import ZERO
from m0common.messages import raw_event
from m0common.messages.codec import encode_json
from m0lanes.control import CatalogSetPayload, DomainRef, SourceRule
from m0lanes.port import Domain
from m0lanes.stages import Heart

from m0replay.made_log import MadeCatalog, MadeLog, rules
from m0replay.payload_maker import Json, Maker
from m0replay.restarts import Restarting, Said
from m0replay.samples import FILE, EventSample, MarketSample, Samples, samples_of
from m0replay.watched import Notes, WatchedDomain

SEED = 11
PARTITIONS, EPOCH_MS, HORIZON_MS, FIRST = 2, 20_000, 600_000, 85_000_000
EPOCHS, EVENTS = 3, 30
"""So many windows with so many events each. An event is not much when it is restarted behind every one."""
STRANGE = (MarketSample(("A", "B")), MarketSample(("A", "B", "C")), MarketSample(("B", "A"), {"a": "é" * 60}))
"""Markets that the registry may open in any catalog: whoever cannot say anything of one blocks it."""
RELEASE = bytes([31]) * 32
STAGES = ("normalize", "feature", "model", "bundle")
GROUPS = ("check.1", "check.2")
"""One in each partition."""


@dataclass(frozen=True, slots=True)
class _Market:
    market_id: str
    group: str
    sample: int
    """Its place among the samples, and behind them those that are strange."""


class Play:
    """Events for one model of a domain, the same for everybody who asks."""

    def __init__(self, domain: Domain, model: str, samples: Samples) -> None:
        self._domain, self._samples = domain, samples
        self._rng = random.Random(SEED)
        self.log = MadeLog(PARTITIONS, FIRST * EPOCH_MS - 1_000)
        kinds = tuple(sorted(domain.payloads))
        base = CatalogSetPayload(
            "check",
            1,
            PARTITIONS,
            EPOCH_MS,
            DomainRef(domain.name, "check", domain.version),
            RELEASE.hex(),
            model,
            {"signer_set_id": 1},
            HORIZON_MS,
            tuple(sorted(GROUPS)),
            rules(dense=SourceRule(kinds, None, dense=True), loose=SourceRule(kinds, None)),
        )
        self._catalog = MadeCatalog(self.log, base)
        self._markets = (*samples.markets, *STRANGE)
        self._maker = Maker(self._rng, sorted(_texts(self._markets)))
        self._seqs = dict.fromkeys(GROUPS, 0)
        self._open: list[_Market] = []
        self._written = 0
        self._write()

    def _write(self) -> None:
        self._catalog.define(1)
        self._catalog.end(FIRST - 1, following=1)
        for index in range(EPOCHS):
            start_ms = (FIRST + index) * EPOCH_MS
            self.log.now_ms = max(self.log.now_ms, start_ms)
            for group in GROUPS:
                self._list(group, index)
            for step in range(EVENTS):
                self.log.now_ms = max(self.log.now_ms, start_ms + 1_500 + step * (EPOCH_MS - 2_000) // EVENTS)
                self._observe(step)
            for market in self._rng.sample(self._open, len(self._open) // 3):
                self._open.remove(market)
                self._catalog.close(market.group, market.market_id)
            self._catalog.end(FIRST + index)

    def _list(self, group: str, index: int) -> None:
        for number, market in enumerate(self._markets):
            made = _Market(f"{group.upper().replace('.', '_')}_{index}_{number}", group, number)
            self._open.append(made)
            self._catalog.open(group, made.market_id, market.outcomes, market.attributes)

    def _observe(self, step: int) -> None:
        """Every kind in turn: a sample as it is, something made of its type, or either with something wrong."""
        kinds = sorted(self._domain.payloads)
        kind = kinds[step % len(kinds)]
        known = [sample for sample in self._samples.events if sample.kind == kind]
        chosen = self._rng.choice(known) if known and self._rng.random() < 0.6 else None
        payload = self._maker.valid(self._domain.payloads[kind]) if chosen is None else _plain(chosen)
        if self._rng.random() < 0.3:
            payload = self._maker.wrong(payload)
        market = self._market(chosen)
        group = self._rng.choice(GROUPS) if market is None else market.group
        source = self._rng.choice(("dense", "loose"))
        if source == "dense":
            self._seqs[group] += 1
        self._written += 1
        at_ms = self.log.now_ms + self._rng.choice((0, 0, 0, 0, -25_000, 18_000, 45_000))
        event = raw_event(
            source,
            f"e{self._written}",
            group,
            None if market is None else market.market_id,
            kind,
            at_ms,
            at_ms,
            payload,
            self._seqs[group] if source == "dense" else 0,
        )
        self.log.event(event)

    def _market(self, chosen: EventSample | None) -> _Market | None:
        """Mostly the one that a sample is about; else any, or none."""
        if self._rng.random() < 0.8 and chosen is not None:
            about = [market for market in self._open if market.sample == chosen.market]
            return self._rng.choice(about) if about else None
        return None if self._rng.random() < 0.2 else self._rng.choice(self._open)


def _texts(markets: Sequence[MarketSample]) -> set[str]:
    return {text for market in markets for text in (*market.outcomes, *market.attributes.values())}


def _plain(sample: EventSample) -> Json:
    return msgspec.json.decode(sample.payload)


def played(domain: Domain) -> list[str]:
    """What shows while a domain plays, a sentence each. Raises InvalidValue for samples that are none."""
    samples, found = samples_of(domain), []
    for model in sorted(domain.models):
        found += [f"model {model}: {fault}" for fault in _played(domain, model, samples)]
    return found


def play_digest(domain: Domain) -> str:
    """A hash of everything that a domain's plays say, in hex."""
    hasher, samples = hashlib.sha256(), samples_of(domain)
    for model in sorted(domain.models):
        play, notes = Play(domain, model, samples), Notes()
        said = _run(play, _watched(domain, notes, samples), restarts=False)
        for stage in STAGES:
            hasher.update(said.digest(stage))
        hasher.update(encode_json(sorted(said.letters.items())))
    return hasher.hexdigest()


def _watched(domain: Domain, notes: Notes, samples: Samples) -> Domain:
    return WatchedDomain(domain, notes, [market.outcomes for market in (*samples.markets, *STRANGE)])


def _run(play: Play, domain: Domain, *, restarts: bool) -> Said:
    said = Said()
    chain = Restarting(Heart(play.log.deployment, {RELEASE: domain}, ZERO), [said])
    for record in play.log.records:
        chain.feed(record)
        if restarts:
            chain.restart()
    said.otherwise += chain.parked
    return said


def _played(domain: Domain, model: str, samples: Samples) -> Iterator[str]:
    play, notes = Play(domain, model, samples), Notes()
    watched = _watched(domain, notes, samples)
    first = _run(play, watched, restarts=False)
    if not notes.faults:
        yield from _vacuous(domain, notes)
        yield from _otherwise(first, play, watched)
    yield from notes.faults


def _otherwise(first: Said, play: Play, domain: Domain) -> Iterator[str]:
    """At most one sentence: what else than the first time a domain says of the same log."""
    differs = _difference(first, _run(play, domain, restarts=False))
    if differs is not None:
        yield f"played a second time, {differs}: keep nothing outside entities, neither in the domain nor in a module"
        return
    differs = _difference(first, _run(play, domain, restarts=True))
    if differs is not None:
        yield (
            f"restarted behind every record, {differs}: what View.cache holds must be what the entities give again, "
            "and nothing may be kept anywhere else"
        )


def _vacuous(domain: Domain, notes: Notes) -> Iterator[str]:
    """What the play says nothing about, since nothing of it was taken in."""
    for kind in sorted(set(domain.payloads) - set(notes.taken)):
        yield f"nothing made of the type of {kind} is taken in: put some into {FILE} in the domain's folder"
    if not notes.taken["predict"]:
        yield f"no market gets probabilities: put markets and events that lead to some into {FILE} in its folder"


def _difference(first: Said, again: Said) -> str | None:
    """Where two plays of one log first differ, in the order of the stages; None when they do not."""
    if again.otherwise:
        return again.otherwise[0]
    for stage in STAGES:
        ours = {place: value for place, value in first.messages.items() if place[0] == stage}
        others = {place: value for place, value in again.messages.items() if place[0] == stage}
        if ours != others:
            place = min(place for place in ours.keys() | others.keys() if ours.get(place) != others.get(place))
            return f"stage {stage} says something else from message {place[-1]} of {place[1]}/{place[2]} on"
    ours_letters, others_letters = set(first.letters.items()), set(again.letters.items())
    if ours_letters != others_letters:
        where, letter = min(ours_letters ^ others_letters)
        return f"record {where[0]}@{where[1]} costs a letter in one of the plays alone, {letter}"
    return None
