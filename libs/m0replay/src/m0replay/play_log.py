"""A log to play into a domain: two lanes, markets that open and close, and events of every kind that it knows.

Every window has a generation of its own: in the second the model has another version, in the third the domain has.

Payloads are its samples, others made of their types, and both with something wrong in one place.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from m0common.messages import raw_event
from m0lanes.control import CatalogSetPayload, DomainRef, SourceRule
from m0lanes.port import Domain

from m0replay.made_log import MadeCatalog, MadeLog, rules
from m0replay.payload_maker import Json, Maker
from m0replay.samples import EventSample, MarketSample, Samples

SEED = 11
PARTITIONS, EPOCH_MS, HORIZON_MS, FIRST = 2, 20_000, 600_000, 85_000_000
EVENTS = 30
"""So many in each window. One is not much when it is restarted behind every one."""
STRANGE = (MarketSample(("A", "B")), MarketSample(("A", "B", "C")), MarketSample(("B", "A"), {"a": "é" * 60}))
"""Markets that the registry may open in any catalog: whoever cannot say anything of one blocks it."""
RELEASES = {bytes([31 + number]) * 32: ahead for number, ahead in enumerate(((0, 0), (0, 1), (1, 1)))}
"""By release: how many versions its domain and model are ahead."""
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
            min(RELEASES).hex(),
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
        name, version = self._domain.name, self._domain.version
        for index, (release, ahead) in enumerate(RELEASES.items()):
            domain = DomainRef(name, "check", version + ahead[0])
            self._catalog.define(index + 1, release=release.hex(), domain=domain)
            self._catalog.end(FIRST + index - 1, following=index + 1)
            start_ms = (FIRST + index) * EPOCH_MS
            self.log.now_ms = max(self.log.now_ms, start_ms)
            for group in GROUPS:
                self._list(group, index)
            for step in range(EVENTS):
                self.log.now_ms = max(self.log.now_ms, start_ms + 1_500 + step * (EPOCH_MS - 2_000) // EVENTS)
                self._observe()
            for market in self._rng.sample(self._open, len(self._open) // 3):
                self._open.remove(market)
                self._catalog.close(market.group, market.market_id)
        self._catalog.end(FIRST + len(RELEASES) - 1)

    def _list(self, group: str, index: int) -> None:
        for number, market in enumerate(self._markets):
            made = _Market(f"{group.upper().replace('.', '_')}_{index}_{number}", group, number)
            self._open.append(made)
            self._catalog.open(group, made.market_id, market.outcomes, market.attributes)

    def _observe(self) -> None:
        """Every kind in turn: a sample as it is, something made of its type, or either with something wrong."""
        kinds = sorted(self._domain.payloads)
        kind = kinds[self._written % len(kinds)]
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
