"""What the logs of benchmarks tell: the same markets and observations in the messages of any commit."""

from collections.abc import Iterator

EPOCH_MS = 20_000
DAY_MS = 86_400_000
MARKETS = 50
"""As many as a lane has, where a benchmark says nothing else."""
PPB = 1_000_000_000
results_every = 2
"""So many observations of sports there are for each result of a match; a process may say another number once."""


def market(domain: str, number: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """Outcomes and attributes of one market."""
    if domain == "crypto":
        return ("UP", "DOWN"), {}
    return ("HOME", "DRAW", "AWAY"), {"home": f"Team {number % 20}", "away": f"Team {(number + 7) % 20}"}


def moments(count: int, start_ms: int) -> Iterator[int]:
    """When so many observations of the epoch that begins then were made."""
    for number in range(count):
        yield start_ms + number * (EPOCH_MS - 1) // count


def observation(domain: str, seq: int, at_ms: int) -> tuple[str, dict[str, object], bool]:
    """The kind and payload of one observation, and whether it is of one market: results of matches are of all."""
    if domain == "crypto":
        return "book", book(seq, at_ms), True
    if seq % results_every:
        return "quote", quote(seq, at_ms), True
    return "match_result", result(seq, at_ms), False


def book(seq: int, at_ms: int) -> dict[str, object]:
    """Ten levels a side."""
    best = 400_000_000 + seq * 7919 % 100_000_000
    bids = [(best - level * 10_000_000, 1_000_000 + seq + level) for level in range(10)]
    asks = [(best + 20_000_000 + level * 10_000_000, 900_000 + seq + level) for level in range(10)]
    return {"bids": bids, "asks": asks, "original_ms": at_ms}


def quote(seq: int, at_ms: int) -> dict[str, object]:
    """Somebody's three probabilities."""
    home, draw = 400_000_000 + seq * 104_729 % 100_000_000, 250_000_000
    return {"p_ppb": {"HOME": home, "DRAW": draw, "AWAY": PPB - home - draw}, "original_ms": at_ms}


def result(seq: int, at_ms: int, teams: int = 20) -> dict[str, object]:
    """A match of so many teams, each on a day of its own; in time every team hosts every other."""
    number = seq // results_every
    home = number % teams
    away = (home + 1 + number // teams % (teams - 1)) % teams
    played_ms = at_ms - DAY_MS * (number % 20_000)
    return {
        "home": f"Team {home}",
        "away": f"Team {away}",
        "home_goals": seq % 4,
        "away_goals": seq // 4 % 3,
        "season": "bench",
        "original_ms": max(0, played_ms),
    }
