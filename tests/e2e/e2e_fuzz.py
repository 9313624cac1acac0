"""Events that a hostile or mistaken writer would put on `m0.raw`: valid ones, bent field by field, and plain bytes.

Among them what stands in the log already, as it was: signed by whoever may say it, and long past.
"""

import json
import random
import time
from collections.abc import Iterator, Sequence

from m0common.stream.partition import partition_for
from m0common.stream.records import Record

GROUPS = (*("btc", "eng.1", "es.1", "at.1") * 6, "nobody", "uefa/cl", "", "x" * 33, "köln", "a b", "\n")
KINDS = (
    *("book", "match_result", "quote", "market_open", "market_close", "epoch_end", "catalog_set", "rebase") * 4,
    *("outcome", "gossip", "", "BOOK", "x" * 40),
)
SOURCES = (*("books", "football", "clock", "registry", "control") * 5, "stranger", "", "a\x00b", "s" * 100)
MARKETS = (*(None, "NOT_OPEN") * 6, "lower", "", "X" * 65, "БТЦ")
ODD = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, 2**70, 10**300, 1e308, -0.0, 0.5),
    *("", "0", "x" * 5_000, "9" * 5_000, "\x00", "\ud800", "\U0001d518" * 64, "a\u0301", "NaN", "Infinity"),
    *([], {}, [[]], [None] * 100, {"a": {"b": {"c": []}}}),
)


def payload(rng: random.Random, kind: str, now_ms: int) -> dict:
    """A payload that would do for the kind."""
    epoch = now_ms // 20_000 + rng.choice((0, 1, 40, 1 << 40))
    return {
        "book": {"bids": [[400_000_000, 1000]], "asks": [[500_000_000, 1000]], "original_ms": now_ms},
        "match_result": {
            "home": "Arsenal", "away": "Chelsea", "home_goals": 1, "away_goals": 0, "season": "2015-16",
            "original_ms": now_ms,
        },
        "quote": {"p_ppb": {"UP": 500_000_000, "DOWN": 500_000_000}, "original_ms": now_ms},
        "market_open": {"catalog": "crypto", "outcomes": ["UP", "DOWN"], "schema_version": 1, "opens_ms": now_ms},
        "market_close": {"catalog": "crypto"},
        "epoch_end": {
            "catalog": rng.choice(("crypto", "sports", "crypt0")), "epoch_id": epoch, "window_start_ms": epoch * 20_000,
            "window_end_ms": (epoch + 1) * 20_000, "generation": 1, "lanes": [1], "next": None,
        },
        "catalog_set": {
            "catalog": rng.choice(("crypto", "sports", "mine")), "generation": rng.choice((1, 2, 1 << 31)),
            "partitions": 8, "epoch_ms": 20_000, "domain": {"name": "crypto", "distribution": "x", "version": 1},
            "release": "11" * 32, "model": "m", "params": {}, "horizon_ms": 600_000, "groups": ["btc"], "sources": {},
        },
        "rebase": {
            "catalog": "crypto", "partition": 1, "life": 1, "epoch_id": 1, "release": "11" * 32,
            "roots": ["00" * 32] * 3, "offset": 0,
        },
    }.get(kind, {})  # fmt: skip


def event(rng: random.Random, number: int) -> tuple[int, bytes]:
    """A partition and the bytes of one event."""
    now_ms = int(time.time() * 1000)
    kind = rng.choice(KINDS)
    body = payload(rng, kind, now_ms)
    made = {
        "source": rng.choice(SOURCES),
        "source_event_id": f"fuzz-{number}",
        "group": "" if kind in ("epoch_end", "catalog_set", "rebase") else rng.choice(GROUPS),
        "market_id": rng.choice(MARKETS),
        "kind": kind,
        "event_ms": now_ms + rng.choice((0, 0, 0, -1_000, 15_000, 50_000, -(10**9), 10**9)),
        "received_ms": now_ms,
        "payload": body,
    }
    if rng.random() < 0.3:
        made["source_seq"] = rng.choice((1, 2, 1 << 40))
    if rng.random() < 0.2:
        made["signature"] = rng.choice(("00" * 64, "ff" * 64, "zz", "ab" * 64))
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        target = body if body and rng.random() < 0.6 else made
        key = rng.choice([*target, "extra"])
        if rng.random() < 0.2:
            target.pop(key, None)
        else:
            target[key] = rng.choice(ODD)
    value = json.dumps(made, ensure_ascii=rng.random() < 0.9).encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        at = rng.randrange(len(value))
        value = value[:at] + bytes([rng.randrange(256)]) + value[at + 1 :]
    group = made.get("group")
    right = partition_for(group.encode("utf-8", "surrogatepass"), 8) if isinstance(group, str) and group else 1
    return (right if rng.random() < 0.8 else rng.randrange(8)), value


def events(seed: int, count: int, said: Sequence[Record] = ()) -> Iterator[tuple[int, bytes]]:
    """`count` events of a seed, one in ten of them a copy of what was `said`, if anything was."""
    rng = random.Random(seed)
    for number in range(count):
        if said and rng.random() < 0.1:
            old = rng.choice(said)
            yield old.partition, old.value
        else:
            yield event(rng, number)
