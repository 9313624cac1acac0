"""Form of football teams: games seen, points of the last five, days of rest."""

from collections.abc import Mapping, Sequence

import msgspec
from m0common.messages import Body, CatalogSet, MarketOpened, MatchResult
from m0common.stream.entities import Entities

from m0lanes.codec import pack, unpack

FORM_GAMES = 5
REST_CAP_DAYS = 30
DAY_MS = 86_400_000
UNKNOWN = -1


class TeamForm(msgspec.Struct, array_like=True):
    """`points` of the last games, oldest first; `last_day` counts days since 1970."""

    games: int
    last_day: int
    points: tuple[int, ...]


def match_day(market: MarketOpened) -> int:
    """Days since 1970 of when the match is really played (`original_ms`), UNKNOWN when the market does not say."""
    original = market.attributes.get("original_ms", "")
    return int(original) // DAY_MS if original.isascii() and original.isdigit() else UNKNOWN


class FormFeatures:
    """Reads match results of any group; contributes to markets that name a home and an away team."""

    def __init__(self) -> None:
        self._teams: dict[tuple[str, str], TeamForm] = {}
        self._changed: set[tuple[str, str]] = set()

    def observe(self, body: Body, markets: Mapping[str, MarketOpened], _config: CatalogSet) -> Sequence[str]:
        """See FeatureFamily."""
        if not isinstance(body, MatchResult):
            return ()
        home = 3 if body.home_goals > body.away_goals else 1 if body.home_goals == body.away_goals else 0
        for team, points in ((body.home, home), (body.away, {3: 0, 1: 1, 0: 3}[home])):
            key = (body.group, team)
            before = self._teams.get(key, TeamForm(0, UNKNOWN, ()))
            self._teams[key] = TeamForm(before.games + 1, body.played_day, (*before.points, points)[-FORM_GAMES:])
            self._changed.add(key)
        teams = {body.home, body.away}
        return sorted(
            market_id
            for market_id, market in markets.items()
            if market.group == body.group
            and not teams.isdisjoint((market.attributes.get("home"), market.attributes.get("away")))
        )

    def values(self, market: MarketOpened, _at_ms: int, _config: CatalogSet) -> dict[str, int]:
        """See FeatureFamily."""
        if "home" not in market.attributes:
            return {}
        day = match_day(market)
        values = {"match_day": day}
        for side in ("home", "away"):
            form = self._teams.get((market.group, market.attributes.get(side, "")), TeamForm(0, UNKNOWN, ()))
            rested = min(REST_CAP_DAYS, day - form.last_day) if UNKNOWN not in (day, form.last_day) else UNKNOWN
            values |= {
                f"{side}_games": form.games,
                f"{side}_form_points": sum(form.points),
                f"{side}_rest_days": rested,
            }
        return values

    def forget(self, market_id: str) -> None:
        """Teams outlive markets."""

    def settle(self, entities: Entities) -> None:
        """See FeatureFamily."""
        for group, team in sorted(self._changed):
            entities.put(f"form/{group}/{team}", pack(self._teams[group, team]))
        self._changed.clear()

    def resume(self, entities: Entities) -> None:
        """See FeatureFamily."""
        self._teams = {}
        for key, value in entities.with_prefix("form/"):
            group, _, team = key.partition("/")
            self._teams[group, team] = unpack(value, TeamForm)
        self._changed.clear()
