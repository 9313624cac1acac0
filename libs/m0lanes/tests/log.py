"""Small raw logs for tests: two partitions, two catalogs, built the way ingest writes them."""

from m0common.messages import (
    BookPayload,
    CatalogPayload,
    EpochEndPayload,
    MarketClosePayload,
    MarketOpenPayload,
    MatchResultPayload,
    encode_raw,
    raw_event,
)
from m0common.stream.records import Record

EPOCH_MS = 20_000
BASE_MS = 1_700_000_000_000 // EPOCH_MS * EPOCH_MS
FIRST_EPOCH = BASE_MS // EPOCH_MS
DAY_MS = 86_400_000
PARTITIONS = 2
SPORTS = CatalogPayload("sports", EPOCH_MS, 1, "football", ("eng.1", "esp.1"), {})
CRYPTO = CatalogPayload("crypto", EPOCH_MS, 1, "book_consensus", ("btc",), {"stale_ms": 15_000})
PLACE = {"eng.1": 0, "esp.1": 1, "btc": 1}
TEAMS = {"eng.1": ("Arsenal", "Chelsea", "Everton", "Fulham"), "esp.1": ("Betis", "Eibar", "Getafe", "Levante")}


class Log:
    """Appends raw events; `records` is the log in the order written."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._next = [0] * PARTITIONS
        self._count = 0

    def bytes(self, partition: int, value: bytes) -> None:
        self.records.append(Record("m0.raw.v1", partition, self._next[partition], None, value))
        self._next[partition] += 1

    def event(self, partition: int, group: str, market_id: str | None, kind: str, at_ms: int, payload: object) -> None:
        self._count += 1
        event = raw_event("test", f"e{self._count}", group, market_id, kind, at_ms, at_ms + 5, payload)
        self.bytes(partition, encode_raw(event))

    def catalogs(self) -> None:
        for partition in range(PARTITIONS):
            for payload in (SPORTS, CRYPTO):
                self.event(partition, "", None, "catalog", BASE_MS, payload)

    def open_match(self, group: str, market_id: str, home: str, away: str, day: int, at_ms: int) -> None:
        attributes = {"home": home, "away": away, "original_ms": str(day * DAY_MS)}
        payload = MarketOpenPayload("sports", ("HOME", "DRAW", "AWAY"), 1, at_ms, attributes=attributes)
        self.event(PLACE[group], group, market_id, "market_open", at_ms, payload)

    def result(
        self, group: str, market_id: str | None, home: str, away: str, goals: tuple[int, int], day: int, at_ms: int
    ) -> None:
        payload = MatchResultPayload(home, away, *goals, "2015-16", day * DAY_MS)
        self.event(PLACE[group], group, market_id, "match_result", at_ms, payload)

    def open_book(self, market_id: str, at_ms: int) -> None:
        payload = MarketOpenPayload("crypto", ("UP", "DOWN"), 1, at_ms)
        self.event(PLACE["btc"], "btc", market_id, "market_open", at_ms, payload)

    def book(self, market_id: str, bid: int, ask: int, at_ms: int) -> None:
        payload = BookPayload(((bid, 900_000), (bid - 10_000_000, 500_000)), ((ask, 700_000),), at_ms)
        self.event(PLACE["btc"], "btc", market_id, "book", at_ms, payload)

    def close(self, group: str, catalog: str, market_id: str, at_ms: int) -> None:
        self.event(PLACE[group], group, market_id, "market_close", at_ms, MarketClosePayload(catalog))

    def end(self, index: int, partitions: tuple[int, ...] = (0, 1)) -> None:
        epoch = FIRST_EPOCH + index
        start = epoch * EPOCH_MS
        for partition in partitions:
            for catalog in ("crypto", "sports"):
                payload = EpochEndPayload(catalog, epoch, start, start + EPOCH_MS, PARTITIONS)
                self.event(partition, "", None, "epoch_end", start + EPOCH_MS, payload)


def season(epochs: int = 4) -> Log:
    """A warm-up of results without markets, then a few epochs with matches and an order book."""
    log = Log()
    log.catalogs()
    day = 16_000
    for turn in range(12):
        for group, teams in TEAMS.items():
            home, away = teams[turn % 4], teams[(turn + 1 + turn // 4) % 4]
            if home != away:
                log.result(group, None, home, away, (turn % 4, (turn * 7) % 3), day + turn, BASE_MS - 100_000 + turn)
    for index in range(epochs):
        at = BASE_MS + index * EPOCH_MS
        for group, teams in TEAMS.items():
            log.open_match(
                group, f"FB_{group[:3].upper()}_{index}", teams[index % 4], teams[(index + 1) % 4], day + 20 + index, at
            )
        log.open_book(f"BTC_{index}", at + 1)
        for step in range(3):
            bid = 400_000_000 + 50_000_000 * ((index + step) % 4)
            log.book(f"BTC_{index}", bid, bid + 20_000_000, at + 1000 * (step + 1))
        if index:
            teams = TEAMS["eng.1"]
            before = index - 1
            log.result(
                "eng.1",
                f"FB_ENG_{before}",
                teams[before % 4],
                teams[(before + 1) % 4],
                (2, 1),
                day + 20 + before,
                at + 5000,
            )
            log.close("btc", "crypto", f"BTC_{before}", at + 6000)
        log.end(index)
    return log
