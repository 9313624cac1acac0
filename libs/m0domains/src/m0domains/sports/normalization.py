"""Stage 1: what connectors say to what is true of a match, once.

A match is its group, season, played day and teams. Its first result counts; the same score again says nothing new, and
another score is a correction, which is not taken in.
"""

import msgspec
from m0lanes.bodies import MarketOpened
from m0lanes.port import Event, Put, Refused, Step, View, market_of
from m0lanes.quotes import QuotePayload, quoted
from m0quant.football_state import TEAMS_MAX

from m0domains.sports.bodies import MatchResult
from m0domains.sports.payloads import MatchResultPayload, outcome

DAY_MS = 86_400_000
AHEAD_MS = DAY_MS
"""How much later than its event a match may have been played: dates come without zones."""


class Match(msgspec.Struct, frozen=True, array_like=True):
    """A result that has been said; its parts are group, season, played day, home and away."""

    home_goals: int
    away_goals: int


class Teams(msgspec.Struct, frozen=True, array_like=True):
    """How many teams a group has; its part is the group."""

    count: int


class Team(msgspec.Struct, frozen=True, array_like=True):
    """A team of a group by its number, from 1; its parts are group and name."""

    number: int


ENTITIES: dict[str, type[msgspec.Struct]] = {"match": Match, "teams": Teams, "team": Team}


def normalize(view: View, event: Event) -> Step:
    """See Domain."""
    match event.payload:
        case QuotePayload() as quote:  # the most of them
            return Step(say=(quoted(view, event, quote),))
        case MatchResultPayload() as result:
            return _result(view, event, result)
        case _:
            raise Refused(f"{event.kind} is no kind of this domain")


def _result(view: View, event: Event, result: MatchResultPayload) -> Step:
    if result.original_ms > event.event_ms + AHEAD_MS:
        raise Refused(
            f"{result.home} v {result.away} played at {result.original_ms} ms, after the event itself at "
            f"{event.event_ms} ms: check the units and the date"
        )
    stop: tuple[str, ...] = ()
    if event.market_id is not None:
        market = market_of(view, event)
        _check_teams(market, result)
        outcome(result, market.outcomes)
        stop = (market.market_id,)
    day = result.original_ms // DAY_MS
    parts = (event.group, result.season, str(day), result.home, result.away)
    known, score = view.get(Match, *parts), Match(result.home_goals, result.away_goals)
    if known == score and stop:
        return Step(stop=stop)
    if known is not None:
        raise Refused(
            f"{result.home} v {result.away} of {result.season}, day {day}, is known as "
            f"{known.home_goals}-{known.away_goals}: "
            + ("a repeat" if known == score else f"{score.home_goals}-{score.away_goals} would be a correction")
        )
    body = MatchResult(event.group, result.home, result.away, result.home_goals, result.away_goals, day)
    return Step(changes=(Put(parts, score), *_joined(view, event.group, result)), say=(body,), stop=stop)


def _joined(view: View, group: str, result: MatchResultPayload) -> list[Put]:
    """Teams that a group has not seen before. Raises Refused when it has as many as a model takes."""
    new = [name for name in (result.home, result.away) if view.get(Team, group, name) is None]
    if not new:
        return []
    known = view.get(Teams, group)
    count = 0 if known is None else known.count
    if count + len(new) > TEAMS_MAX:
        raise Refused(f"{result.home} v {result.away}: {group} has {count} teams of {TEAMS_MAX}, use more groups")
    numbered = [Put((group, name), Team(number)) for number, name in enumerate(new, count + 1)]
    return [Put((group,), Teams(count + len(new))), *numbered]


def _check_teams(market: MarketOpened, result: MatchResultPayload) -> None:
    named = market.attribute("home"), market.attribute("away")
    if named == (result.away, result.home):
        raise Refused(f"{result.home} v {result.away} is {market.market_id} with home and away swapped")
    if named != (result.home, result.away):
        raise Refused(f"{result.home} v {result.away} is not {market.market_id}, which is {named[0]} v {named[1]}")
