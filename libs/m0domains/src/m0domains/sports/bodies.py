"""What the sports domain says in lane messages."""

import msgspec
from m0lanes.quotes import Quote


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


BODIES: dict[str, type[msgspec.Struct]] = {"match_result": MatchResult, "quote": Quote}
