"""What connectors say about football: results, and other people's probabilities."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from m0common.messages.types import Millis
from m0lanes.port import Refused
from m0lanes.quotes import QuotePayload, check_quote

TEAM_MAX_BYTES = 64
GOALS_MAX = 99

HOME, DRAW, AWAY = "HOME", "DRAW", "AWAY"
OUTCOMES = (HOME, DRAW, AWAY)
"""Names of the outcomes of a match. A market has them in any order."""

Team = Annotated[str, msgspec.Meta(min_length=1, max_length=TEAM_MAX_BYTES)]
"""Opaque text of at most TEAM_MAX_BYTES bytes of UTF-8: how a club is spelt is for connectors to agree on."""
Goals = Annotated[int, msgspec.Meta(ge=0, le=GOALS_MAX)]
SeasonName = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,16}(?![\s\S])")]


class MatchResultPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kind `match_result`: a finished match. `original_ms` is when it was really played, which may be long ago."""

    home: Team
    away: Team
    home_goals: Goals
    away_goals: Goals
    season: SeasonName
    original_ms: Millis


PAYLOADS: dict[str, type[msgspec.Struct]] = {"match_result": MatchResultPayload, "quote": QuotePayload}


def check(payload: msgspec.Struct) -> None:
    """What types cannot say of a payload. Raises Refused."""
    if isinstance(payload, QuotePayload):
        check_quote(payload)
    elif isinstance(payload, MatchResultPayload):
        for name in (payload.home, payload.away):
            check_team(name)
        if payload.home == payload.away:
            raise Refused(f"home and away are both {payload.home!r}: a team does not play itself")


def check_team(name: str) -> None:
    """Raise Refused unless a name can be a key of state."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Refused(f"team {name!r} is not Unicode text: leave out lone surrogates") from None
    if not 1 <= size <= TEAM_MAX_BYTES:
        raise Refused(f"team {name!r} has {size} bytes: use 1 to {TEAM_MAX_BYTES}")


def outcome(payload: msgspec.Struct, outcomes: Sequence[str]) -> int | None:
    """Where among a market's outcomes the one is that a payload decides. Raises Refused for another market."""
    if not isinstance(payload, MatchResultPayload):
        return None
    if sorted(outcomes) != sorted(OUTCOMES):
        raise Refused(f"a result decides markets of {', '.join(OUTCOMES)} alone, in any order")
    if payload.home_goals == payload.away_goals:
        return outcomes.index(DRAW)
    return outcomes.index(HOME if payload.home_goals > payload.away_goals else AWAY)
