"""The golden log: football and order books as they might be written, with everything that can befall an event.

Two catalogs over the same four partitions, ten windows of twenty seconds. Sports gets a second generation, is retired
and returns; crypto gets other parameters. Every event is made of one seed and keys that everybody knows.
"""

import json
import random
from collections.abc import Iterator

from m0common.messages import encode_raw, raw_event
from m0common.stream.records import Record
from m0lanes.control import CatalogSetPayload, DomainRef, SourceRule
from m0lanes.generations import partition_of
from m0replay.made_log import CLOCK, REGISTRY, STRANGER, MadeCatalog, MadeLog, rules

SEED = 20_261_126
PARTITIONS = 4
EPOCH_MS, HORIZON_MS = 20_000, 600_000
FIRST = 85_000_000
EPOCHS = 10
SPORTS_RELEASE, CRYPTO_RELEASE = bytes([21]) * 32, bytes([22]) * 32
"""Stand for the release of the day, which is a hash of source: the golden outcome follows from what the code does."""
LEAGUES = {
    "eng.1": ("Arsenal", "Chelsea", "Everton", "Leeds", "Wigan"),
    "esp.1": ("Cádiz", "Málaga", "Getafe", "Sevilla", "Girona"),
    "ger.1": ("Köln", "Mainz", "Bochum", "Union", "Bayern"),
}
COINS = ("btc", "eth")
PPB = 1_000_000_000
DAY_MS = 86_400_000
PLAYED_MS = 1_471_046_400_000
"""The first day of the matches, long before they are told."""


def _set(catalog: str, release: bytes, model: str, groups: tuple[str, ...], **sources: SourceRule) -> CatalogSetPayload:
    return CatalogSetPayload(
        catalog,
        1,
        PARTITIONS,
        EPOCH_MS,
        DomainRef(catalog, "golden", 1),
        release.hex(),
        model,
        {"signer_set_id": 1},
        HORIZON_MS,
        groups,
        rules(**sources),
    )


SPORTS = _set(
    "sports",
    SPORTS_RELEASE,
    "football",
    ("eng.1", "esp.1"),
    results=SourceRule(("match_result", "quote"), None, dense=True),
    odds=SourceRule(("quote",), None),
)
CRYPTO = _set("crypto", CRYPTO_RELEASE, "book_consensus", COINS, books=SourceRule(("book",), None, dense=True))


class Golden:
    """Writes the log."""

    def __init__(self) -> None:
        self.log = MadeLog(PARTITIONS, FIRST * EPOCH_MS - 1_000)
        self.sports, self.crypto = MadeCatalog(self.log, SPORTS), MadeCatalog(self.log, CRYPTO)
        self._rng = random.Random(SEED)
        self._seqs: dict[tuple[str, str], int] = {}
        self._names = self._days = 0
        self._open: dict[str, list[tuple[str, dict[str, str]]]] = {group: [] for group in (*LEAGUES, *COINS)}

    def write(self) -> list[Record]:
        """All of it, in the order of the broker's time."""
        self.sports.define(1)
        self.crypto.define(1)
        for catalog in (self.sports, self.crypto):
            catalog.end(FIRST - 1, following=1)
        for index in range(EPOCHS):
            self._epoch(index)
        return self.log.records

    def _epoch(self, index: int) -> None:
        start_ms = FIRST * EPOCH_MS + index * EPOCH_MS
        self.log.now_ms = max(self.log.now_ms, start_ms)
        self._sets(index)
        leagues = tuple(LEAGUES) if index > 2 else tuple(SPORTS.groups)
        for group in leagues:
            self._fixture(group, index)
        if index == 0 or index == 3:
            for group in leagues if index == 0 else ("ger.1",):
                self._warm_up(group)
        for group in COINS:
            self._listing(group, index)
        for step in range(5):
            self.log.now_ms = max(self.log.now_ms, start_ms + 2_000 + 3_000 * step)
            self._quote(self._rng.choice(leagues), self._moment())
            self._played(self._rng.choice(leagues), self._moment())
            for group in COINS:
                self._book(group, self._moment())
        self._odd(index)
        for group in (*leagues, *COINS):
            if index % 3 == 2 and self._open[group]:
                market, _ = self._open[group].pop(0)
                (self.sports if group in LEAGUES else self.crypto).close(group, market)
        self.sports.end(FIRST + index, following={2: 2, 5: 3, 7: 4}.get(index))
        self.crypto.end(FIRST + index, following={4: 2}.get(index))

    def _sets(self, index: int) -> None:
        """Defined in the window before they take force; after the retirement every market is opened anew."""
        if index == 2:
            self.sports.define(2, groups=tuple(LEAGUES), params={"signer_set_id": 1, "min_coverage_games": 6})
        elif index == 4:
            self.crypto.define(2, params={"signer_set_id": 2, "window_ms": 15_000, "stale_ms": 4_000})
        elif index == 5:
            self.sports.define(3, groups=(), retired=True)
        elif index == 7:
            self.sports.define(4, groups=tuple(LEAGUES))
        if index == 8:
            for group in LEAGUES:
                self._open[group].clear()

    # --- ordinary events ---------------------------------------------------------------------------------------------

    def _moment(self) -> int:
        """Mostly now; else in the window before, in the next one, or beyond it within a minute."""
        return self.log.now_ms + self._rng.choice((0, 0, 0, -150, -22_000, 16_000, 37_000, 58_000))

    def _observe(
        self,
        source: str,
        group: str,
        market: str | None,
        kind: str,
        at_ms: int,
        payload: object,
        *,
        seq: int | None = None,
        name: str | None = None,
        partition: int | None = None,
    ) -> None:
        """A dense source counts on unless `seq` is given; another one gives every event a name of its own."""
        rule = (SPORTS if group in LEAGUES else CRYPTO).sources.get(source)
        if seq is None and rule is not None and rule.dense:
            seq = self._seqs[source, group] = self._seqs.get((source, group), 0) + 1
        self._names += 1
        name = name or f"{source}-{self._names}"
        event = raw_event(source, name, group, market, kind, at_ms, self.log.now_ms, payload, seq or 0)
        self.log.event(event, partition=partition)

    def _fixture(self, group: str, index: int) -> None:
        home, away = self._rng.sample(LEAGUES[group], 2)
        day_ms = PLAYED_MS + (100 + index) * DAY_MS
        attributes = {"home": home, "away": away, "original_ms": str(day_ms)}
        market = f"FB_{group.replace('.', '').upper()}_{index}"
        outcomes = ("HOME", "DRAW", "AWAY") if index % 2 else ("AWAY", "HOME", "DRAW")
        self.sports.open(group, market, outcomes, attributes)
        self._open[group].append((market, attributes))

    def _listing(self, group: str, index: int) -> None:
        market = f"{group.upper()}_UP_15M_{index}"
        self.crypto.open(group, market, ("UP", "DOWN") if index % 2 else ("DOWN", "UP"), {})
        self._open[group].append((market, {}))

    def _result(self, home: str, away: str, day_ms: int) -> dict[str, object]:
        return {
            "home": home,
            "away": away,
            "home_goals": self._rng.randrange(5),
            "away_goals": self._rng.randrange(4),
            "season": "2016-17",
            "original_ms": day_ms,
        }

    def _warm_up(self, group: str) -> None:
        teams = LEAGUES[group]
        for home in teams:
            for away in teams:
                if home != away:
                    self._days += 1
                    payload = self._result(home, away, PLAYED_MS + self._days * DAY_MS // 2)
                    self._observe("results", group, None, "match_result", self.log.now_ms, payload)

    def _played(self, group: str, at_ms: int) -> None:
        """A match of an open market, which it decides, or of none."""
        if self._open[group] and self._rng.random() < 0.3:
            market, attributes = self._rng.choice(self._open[group])
            payload = self._result(attributes["home"], attributes["away"], int(attributes["original_ms"]))
            self._observe("results", group, market, "match_result", at_ms, payload)
        else:
            self._days += 1
            home, away = self._rng.sample(LEAGUES[group], 2)
            self._observe(
                "results", group, None, "match_result", at_ms, self._result(home, away, PLAYED_MS + self._days * DAY_MS)
            )

    def _quote(self, group: str, at_ms: int) -> None:
        if not self._open[group]:
            return
        market, _ = self._rng.choice(self._open[group])
        home, draw = self._rng.randrange(PPB // 2), self._rng.randrange(PPB // 3)
        payload = {"p_ppb": {"HOME": home, "DRAW": draw, "AWAY": PPB - home - draw}, "original_ms": at_ms}
        self._observe(self._rng.choice(("odds", "results")), group, market, "quote", at_ms, payload)

    def _book(self, group: str, at_ms: int) -> None:
        market, _ = self._rng.choice(self._open[group])
        best = self._rng.randrange(5_000_000, 95 * PPB // 100)
        tick = self._rng.choice((1_000_000, 10_000_000))
        bids = [[max(0, best - level * tick), self._rng.randrange(1 << 20)] for level in range(self._rng.randrange(4))]
        asks = [[min(PPB, best + level * tick), self._rng.randrange(1 << 20)] for level in range(1, 4)]
        self._observe("books", group, market, "book", at_ms, {"bids": bids, "asks": asks, "original_ms": at_ms})

    # --- what should not be written, or not again --------------------------------------------------------------------

    def _odd(self, index: int) -> None:
        now_ms, rng = self.log.now_ms, self._rng
        fixtures = self._open["eng.1"]
        market = fixtures[-1][0] if fixtures else None
        sure = {"p_ppb": {"HOME": PPB, "DRAW": 0, "AWAY": 0}, "original_ms": now_ms}
        for at_ms in (now_ms - HORIZON_MS - 1, now_ms + 60_000, now_ms + 10 * EPOCH_MS):
            self._observe("odds", "eng.1", market, "quote", at_ms, sure)
        for _ in range(2):
            self._observe("odds", "eng.1", market, "quote", now_ms, sure, name=f"again-{index}")
        seq = self._seqs.get(("books", "btc"), 1)
        book = {"bids": [[1, 1]], "asks": [[2, 1]], "original_ms": now_ms}
        self._observe("books", "btc", self._open["btc"][-1][0], "book", now_ms, book, seq=seq)
        for record in rng.sample(self.log.records[-40:], 3):
            self.log.write(record.partition, record.value)
        for number, (source, kind, about, payload) in enumerate(self._invalid(now_ms, sure, market)):
            if number % 3 == index % 3:
                self._observe(source, "eng.1", about, kind, now_ms, payload)
        key = rng.choice((STRANGER, CLOCK))
        stranger = raw_event("registry", f"x{index}", "eng.1", "FB_X", "market_open", now_ms, now_ms, {})
        self.log.event(stranger, key)
        self.log.event(raw_event("registry", f"y{index}", "eng.1", "FB_Y", "market_open", now_ms, now_ms, {}), REGISTRY)
        self.log.write(rng.randrange(PARTITIONS), rng.choice(list(_no_events())))
        wrong = (partition_of("btc", PARTITIONS) + 1) % PARTITIONS
        self._observe("books", "btc", None, "book", now_ms, book, seq=1, partition=wrong)

    @staticmethod
    def _invalid(
        now_ms: int, sure: dict[str, object], market: str | None
    ) -> Iterator[tuple[str, str, str | None, object]]:
        """Source, kind, market and payload of events that cost a letter each, or count for nothing."""
        result = {"home": "Leeds", "away": "Wigan", "home_goals": 1, "away_goals": 0, "season": "s", "original_ms": 0}
        yield "odds", "quote", market, sure | {"p_ppb": {"HOME": 1, "DRAW": 1, "AWAY": 1}}
        yield "odds", "quote", market, sure | {"p_ppb": {"HOME": 0.5, "DRAW": 0.5}}
        yield "odds", "quote", market, sure | {"p_ppb": {"UP": 1, "DOWN": PPB - 1}}
        yield "odds", "quote", "FB_NOT_OPEN", sure
        yield "odds", "quote", None, sure
        yield "odds", "match_result", None, result
        yield "nobody", "quote", market, sure
        yield "results", "book", None, sure
        yield "results", "match_result", None, result | {"home_goals": 100}
        yield "results", "match_result", None, result | {"away": "Leeds"}
        yield "results", "match_result", None, result | {"original_ms": now_ms + 2 * DAY_MS}
        yield "results", "match_result", market, result
        yield "results", "match_result", None, result | {"home": "x" * 65}
        yield "results", "match_result", None, [result]
        yield "results", "match_result", None, None


def _no_events() -> Iterator[bytes]:
    yield b""
    yield b"null"
    yield b'{"source":'
    yield b"\xff\xfe\x00"
    yield b"[" * 97 + b"]" * 97
    yield encode_raw(raw_event("books", "1", "btc", None, "book", 1, 1, {}))[:-1] + b',"more":1}'
    yield b'{"source":"\\ud800","source_event_id":"1","group":"btc","market_id":null,"kind":"book"}'


def written(records: list[Record]) -> str:
    """A log as text, a record a line: partition, offset, append time, and its bytes as Latin-1."""
    lines = [json.dumps([r.partition, r.offset, r.append_ms, r.value.decode("latin-1")]) for r in records]
    return "\n".join(lines) + "\n"


def golden_log() -> str:
    """The text of the whole golden log."""
    return written(Golden().write())
