"""Stage 3: Elo with ordered-logit draws pooled with Dixon-Coles, one league per group."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import msgspec
from m0common.canonical import FLAGS
from m0lanes.bodies import MarketOpened
from m0lanes.port import NOTHING, Distribution, Put, Step, View
from m0quant.distribution import rounded
from m0quant.football import League, LeagueParams
from m0quant.football_state import LeagueState, PairState, TeamState

from m0domains.sports.bodies import MatchResult
from m0domains.sports.guardrails import judged
from m0domains.sports.payloads import OUTCOMES


class LeagueFacts(msgspec.Struct, frozen=True, array_like=True):
    """A LeagueState of m0quant. Its part is the group."""

    results: int
    season: int
    first_season: int
    reference_day: int


class Team(msgspec.Struct, frozen=True, array_like=True):
    """A TeamState of m0quant. Its parts are group and name."""

    promoted: bool
    rating: int
    season: int
    games: int


class Pair(msgspec.Struct, frozen=True, array_like=True):
    """A PairState of m0quant. Its parts are group, name of the home team, and name of the away team."""

    games: int
    home_goals: int
    away_goals: int
    reference_day: int


class Football:
    """See Model. A result notes what it says; the league is fitted where a forecast asks for it, which is no state."""

    name = "football"
    version = 2
    learns: Sequence[str] = ("match_result",)
    entities: Mapping[str, type[msgspec.Struct]]

    def __init__(self) -> None:
        self.entities = {"league": LeagueFacts, "team": Team, "pair": Pair}
        self._params = LeagueParams()

    def artifact(self) -> bytes:
        """The hyperparameters, as text, since they are floats written in source code."""
        return msgspec.msgpack.encode([f"{key}={value!r}" for key, value in sorted(asdict(self._params).items())])

    def learn(self, view: View, body: msgspec.Struct) -> Step:
        """Results of any match of the group, with or without a market. One that a full league has no room for says
        nothing: stage 1 refuses it, and who counts the teams otherwise must not make letters of ordinary results here.
        """
        if not isinstance(body, MatchResult):
            return NOTHING
        group, home, away = body.group, body.home, body.away
        league = self._league(view, group)
        if not league.has_room(home, away):
            return NOTHING
        league.update(home, away, body.home_goals, body.away_goals, body.played_day)
        changes = [
            Put((group,), LeagueFacts(*league.state)),
            *(Put((group, name), Team(*league.team(name))) for name in (home, away)),
        ]
        pair = league.pair(home, away)
        if pair is not None:
            changes.append(Put((group, home, away), Pair(*pair)))
        return Step(changes)

    def predict(self, view: View, market: MarketOpened, row: Mapping[str, int]) -> Distribution:
        """A market that is not a match between two named teams is blocked."""
        home, away = market.attribute("home"), market.attribute("away")
        day = row.get("match_day", -1)
        if not home or not away or sorted(market.outcomes) != sorted(OUTCOMES) or day < 0:
            return Distribution.blocked(FLAGS.LOW_COVERAGE)
        forecast = self._league(view, market.group).predict(home, away, day)
        places = [OUTCOMES.index(name) for name in market.outcomes]
        p, lo, hi = ([side[place] for place in places] for side in (forecast.p, forecast.lo, forecast.hi))
        return judged(view, rounded(p, lo, hi), row, forecast.coverage, forecast.divergence)

    def _league(self, view: View, group: str) -> League:
        league: League | None = view.cache.get(("league", group))
        if league is None:
            facts = view.get(LeagueFacts, group)
            league = view.cache["league", group] = League(
                self._params,
                None if facts is None else LeagueState(*msgspec.structs.astuple(facts)),
                {name: TeamState(*msgspec.structs.astuple(team)) for (_, name), team in view.each(Team, group)},
                {
                    (home, away): PairState(*msgspec.structs.astuple(pair))
                    for (_, home, away), pair in view.each(Pair, group)
                },
            )
        return league
