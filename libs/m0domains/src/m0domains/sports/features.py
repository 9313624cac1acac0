"""Stage 2: form of teams (games seen, points of the last five, days of rest) and outside quotes."""

from collections.abc import Mapping

import msgspec
from m0lanes.bodies import MarketOpened
from m0lanes.port import NOTHING, Drop, Put, Step, View
from m0lanes.quotes import Quote

from m0domains.sports.bodies import MatchResult

FORM_GAMES = 5
REST_CAP_DAYS = 30
DAY_MS = 86_400_000
MILLIS_MAX = 253_402_300_799_999
"""The end of year 9999."""
UNKNOWN = -1


class TeamForm(msgspec.Struct, frozen=True, array_like=True):
    """`points` of the last games, oldest first; `last_day` counts days since 1970. Its parts are group and team."""

    games: int = 0
    last_day: int = UNKNOWN
    points: tuple[int, ...] = ()


class Quoted(msgspec.Struct, frozen=True, array_like=True):
    """The newest outside quote of a market, in registry order. Its part is the market's id."""

    event_ms: int
    p_ppb: tuple[int, ...]


ENTITIES: dict[str, type[msgspec.Struct]] = {"form": TeamForm, "quoted": Quoted}


def observe(view: View, body: msgspec.Struct) -> Step:
    """See Domain."""
    match body:
        case MatchResult():
            home = 3 if body.home_goals > body.away_goals else 1 if body.home_goals == body.away_goals else 0
            away = {3: 0, 1: 1, 0: 3}[home]
            return Step(
                (
                    _after(view, body, body.home, home),
                    _after(view, body, body.away, away),
                )
            )
        case Quote():
            known = view.get(Quoted, body.market_id)
            if view.market(body.market_id) is None or (known is not None and known.event_ms > body.event_ms):
                return NOTHING
            return Step((Put((body.market_id,), Quoted(body.event_ms, body.p_ppb)),))
        case _:
            return NOTHING


def _after(view: View, body: MatchResult, team: str, points: int) -> Put:
    form = view.get(TeamForm, body.group, team) or TeamForm()
    if body.played_day < form.last_day:  # history that comes late says nothing of the form of today
        return Put((body.group, team), TeamForm(form.games + 1, form.last_day, form.points))
    recent = (*form.points, points)[-FORM_GAMES:]
    return Put((body.group, team), TeamForm(form.games + 1, body.played_day, recent))


def features(view: View, market: MarketOpened, at_ms: int) -> Mapping[str, int]:
    """See Domain. `match_day`, and per side games, form points and rest days; a quote by place of the outcome."""
    values: dict[str, int] = {}
    if market.attribute("home") is not None:
        day = match_day(market)
        values["match_day"] = day
        for side in ("home", "away"):
            form = view.get(TeamForm, market.group, market.attribute(side) or "") or TeamForm()
            points: tuple[int, ...] = form.points
            rested = max(0, min(REST_CAP_DAYS, day - form.last_day)) if UNKNOWN not in (day, form.last_day) else UNKNOWN
            values |= {
                f"{side}_games": form.games,
                f"{side}_form_points": sum(points),
                f"{side}_rest_days": rested,
            }
    quoted = view.get(Quoted, market.market_id)
    if quoted is not None:
        values["quote_age_ms"] = max(0, at_ms - quoted.event_ms)
        values |= {f"quote_{index:02}_ppb": p for index, p in enumerate(quoted.p_ppb)}
    return values


def match_day(market: MarketOpened) -> int:
    """Days since 1970 of when the match is really played (`original_ms`), UNKNOWN when the market does not say."""
    original = market.attribute("original_ms") or ""
    if not (original.isascii() and original.isdigit() and len(original) <= len(str(MILLIS_MAX))):
        return UNKNOWN
    return int(original) // DAY_MS if int(original) <= MILLIS_MAX else UNKNOWN


def forget(view: View, market: MarketOpened) -> Step:
    """See Domain. Teams outlive markets, quotes do not."""
    if view.get(Quoted, market.market_id) is None:
        return NOTHING
    return Step((Drop(Quoted, (market.market_id,)),))
