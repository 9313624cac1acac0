"""What the sports domain says in lane messages."""

import msgspec


class MatchResult(msgspec.Struct, frozen=True, array_like=True):
    """kind `match_result`: a match of a group, said once. `played_day` counts days since 1970 of when it was really
    played.
    """

    group: str
    home: str
    away: str
    home_goals: int
    away_goals: int
    played_day: int


class Quote(msgspec.Struct, frozen=True, array_like=True):
    """kind `quote`: somebody else's probabilities of a market's outcomes in ppb, in registry order."""

    market_id: str
    event_ms: int
    p_ppb: tuple[int, ...]


BODIES: dict[str, type[msgspec.Struct]] = {"match_result": MatchResult, "quote": Quote}
