"""Signed raw logs of the installed domains, for benchmarks: books of crypto markets, results and quotes of football."""

import itertools
import time
from collections.abc import Iterator

from m0common.canonical import set_hash
from m0common.deployment import Deployment
from m0common.messages import RawEvent, encode_raw, raw_event
from m0common.messages.codec import encode_json
from m0common.stream.records import Record
from m0common.topics import RAW
from m0lanes.authority import signed
from m0lanes.control import (
    CatalogSetPayload,
    DomainRef,
    EpochEndPayload,
    MarketOpenPayload,
    NextGeneration,
    SourceRule,
)
from m0lanes.generations import lanes_of, partition_of
from m0lanes.stages import Heart
from observed import DAY_MS, EPOCH_MS, market, moments, observation, result
from solders.keypair import Keypair

GENESIS = bytes(32)
KEY = Keypair.from_seed(bytes([1]) * 32)


def heart(partitions: int = 1) -> Heart:
    """The heart as it is installed, of a deployment whose every key is the benchmark's."""
    return Heart.installed(Deployment(GENESIS, bytes(KEY.pubkey()), partitions))


class RawLog:
    """One lane's log of one domain, one group, in the order written. `first` is its first epoch.

    `lane` numbers the lanes of several catalogs, each in a partition of its own.
    """

    def __init__(self, installed: Heart, domain: str, first: int | None = None, lane: int = 0) -> None:
        release, found = next((r, d) for r, d in installed.domains.items() if d.name == domain)
        now_ms = time.time_ns() // 1_000_000
        self.first = now_ms // EPOCH_MS if first is None else first
        self.start_ms = self.first * EPOCH_MS
        partitions = installed.deployment.partitions
        self.domain, self.catalog = domain, f"{domain}-{lane}"
        names = (f"group-{number}" for number in itertools.count())
        self.group = next(name for name in names if partition_of(name, partitions) == lane)
        self.partition = lane
        self._offset = self._seq = 0
        public = bytes(KEY.pubkey()).hex()
        self._set = CatalogSetPayload(
            self.catalog,
            1,
            partitions,
            EPOCH_MS,
            DomainRef(domain, "bench", found.version),
            release.hex(),
            next(iter(found.models)),
            {},
            600_000,
            (self.group,),
            {
                "bench": SourceRule(tuple(found.payloads), None, dense=True),
                "clock": SourceRule(("epoch_end",), public),
                "registry": SourceRule(("market_open", "market_close"), public, dense=True),
            },
        )

    def _record(self, event: RawEvent, append_ms: int) -> Record:
        record = Record(RAW.name, self.partition, self._offset, None, encode_raw(event), (), append_ms)
        self._offset += 1
        return record

    def _signed(
        self, source: str, name: str, kind: str, at_ms: int, payload: object, market: str | None = None, seq: int = 0
    ) -> Record:
        group = self.group if market is not None else ""
        event = raw_event(source, name, group, market, kind, at_ms, at_ms, payload, seq)
        return self._record(signed(event, GENESIS, lambda message: bytes(KEY.sign_message(message))), at_ms)

    def begin(self) -> list[Record]:
        """The first generation takes force before epoch `first`."""
        raw = encode_json(self._set)
        named = NextGeneration(1, set_hash(raw).hex())
        marker = EpochEndPayload(self.catalog, self.first - 1, self.start_ms - EPOCH_MS, self.start_ms, 0, (), named)
        return [
            self._signed("control", "set", "catalog_set", self.start_ms, self._set),
            self._signed("clock", "begin", "epoch_end", self.start_ms, marker),
        ]

    def open(self, markets: int) -> list[Record]:
        """Open so many markets."""
        return [self._open(f"MARKET_{number}", number) for number in range(markets)]

    def _open(self, name: str, number: int) -> Record:
        outcomes, attributes = market(self.domain, number)
        payload = MarketOpenPayload(self.catalog, outcomes, 1, self.start_ms, "", attributes)
        return self._signed("registry", name, "market_open", self.start_ms, payload, name, number + 1)

    def events(self, count: int, markets: int, epoch: int = 0) -> Iterator[Record]:
        """So many observations of an epoch, counted from `first`."""
        for number, at_ms in enumerate(moments(count, self.start_ms + epoch * EPOCH_MS)):
            yield self.event(number % markets, at_ms)

    def event(self, number: int, at_ms: int) -> Record:
        """One observation, of this market if it is of one."""
        self._seq += 1
        seq = self._seq
        kind, payload, of_market = observation(self.domain, seq, at_ms)
        name = f"MARKET_{number}" if of_market else None
        event = raw_event("bench", str(seq), self.group, name, kind, at_ms, at_ms, payload, seq)
        return self._record(event, at_ms)

    def results(self, count: int, teams: int, epoch: int = 0) -> Iterator[Record]:
        """So many results between so many teams of football, in an epoch counted from `first`; a day has as many
        matches as there are teams.
        """
        for at_ms in moments(count, self.start_ms + epoch * EPOCH_MS):
            self._seq += 1
            seq = self._seq
            played_ms = at_ms - DAY_MS * (seq // teams)
            payload = result(2 * seq, at_ms, teams) | {"original_ms": played_ms}
            event = raw_event("bench", str(seq), self.group, None, "match_result", at_ms, at_ms, payload, seq)
            yield self._record(event, at_ms)

    def end(self, epoch: int = 0) -> Record:
        """The marker of an epoch, counted from `first`."""
        number = self.first + epoch
        end_ms = (number + 1) * EPOCH_MS
        payload = EpochEndPayload(self.catalog, number, end_ms - EPOCH_MS, end_ms, 1, lanes_of(self._set), None)
        return self._signed("clock", str(number), "epoch_end", end_ms, payload)
