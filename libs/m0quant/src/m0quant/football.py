"""One football league: Elo with an ordered logit, Dixon-Coles, and their pool.

State is integers (see `football_state`); floats live inside one `update` or `predict`. Everything is iterated in
order of team ids, which are themselves state, so a league made of its pieces goes on with the same bits.
"""

import bisect
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from m0quant import dixon_coles, elo, ordered_logit, pool
from m0quant.dixon_coles import DixonColesParams
from m0quant.elo import EloParams
from m0quant.errors import QuantError
from m0quant.football_state import (
    GOALS_MAX,
    RATING_SCALE,
    STRENGTH_MAX,
    STRENGTH_SCALE,
    TEAMS_MAX,
    WEIGHT_SCALE,
    LeagueState,
    Pair,
    TeamState,
    as_floats,
    halved,
    weighs_nothing,
)
from m0quant.interval import wilson
from m0quant.ordered_logit import CutPoints

_EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()
LONG_GAP_SEASONS = 5
"""After a longer gap a league begins anew with what it has left: who joins then is not promoted."""


@dataclass(frozen=True, slots=True)
class LeagueParams:
    """Everything a league is fitted with. Days are counted from 1970-01-01.

    `dixon_coles_weight` is the share of Dixon-Coles in the pool; `season_start` the (month, day) of the season break;
    `evidence_base` and `evidence_per_game` turn games seen by the lesser-known team into equivalent observations
    behind a forecast, at most `evidence_max`.
    """

    elo: EloParams = field(default_factory=EloParams)
    cuts: CutPoints = field(default_factory=CutPoints)
    dixon_coles: DixonColesParams = field(default_factory=DixonColesParams)
    dixon_coles_weight: float = 0.5
    season_start: tuple[int, int] = (7, 1)
    evidence_base: float = 10.0
    evidence_per_game: float = 1.5
    evidence_max: float = 160.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """`p`, `lo`, `hi` in the order HOME, DRAW, AWAY; `coverage` games seen by the lesser-known team; `divergence` total
    variation distance between the pooled models, from 0 to 1; `models` what each of them said.
    """

    p: tuple[float, float, float]
    lo: tuple[float, float, float]
    hi: tuple[float, float, float]
    coverage: int
    divergence: float
    models: Mapping[str, tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a result changed beside the LeagueState: names of teams whose state, and whose home pairs, are others
    now, in order of team ids.
    """

    teams: tuple[str, ...]
    pairs: tuple[str, ...]


def season_of(day: int, start: tuple[int, int]) -> int:
    """The year in which the season that `day` falls into began; days before year 1 and after 9999 count as those."""
    date = dt.date.fromordinal(max(1, min(dt.date.max.toordinal(), day + _EPOCH_ORDINAL)))
    return date.year if (date.month, date.day) >= start else date.year - 1


class League:
    """Ratings and strengths of one league's teams, updated result by result in order of time."""

    def __init__(
        self,
        params: LeagueParams | None = None,
        state: LeagueState | None = None,
        teams: Mapping[str, TeamState] | None = None,
        pairs: Mapping[str, Iterable[Pair]] | None = None,
    ) -> None:
        """A new league, or the one that these pieces describe. Raises QuantError when they do not fit together."""
        self.params = params or LeagueParams()
        self.state = state or LeagueState()
        known = sorted((teams or {}).items(), key=lambda named: named[1].team_id)
        if [team.team_id for _, team in known] != list(range(len(known))):
            raise QuantError(f"{len(known)} teams with ids {[t.team_id for _, t in known]}: some are missing")
        self._names = [name for name, _ in known]
        self._ids = {name: team.team_id for name, team in known}
        self._teams = [team for _, team in known]
        self._pairs: list[dict[int, Pair]] = [{} for _ in known]
        for name, rows in (pairs or {}).items():
            if name not in self._ids:
                raise QuantError(f"pairs of {name!r}, which is no team of this league: its state is missing")
            self._pairs[self._ids[name]] = {pair[0]: pair for pair in rows}
        self._flat: list[dixon_coles.Pair] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the teams seen, in order of their first result."""
        return tuple(self._names)

    def team(self, name: str) -> TeamState:
        """The state of one team. Raises KeyError for an unknown one."""
        return self._teams[self._ids[name]]

    def pairs(self, name: str) -> tuple[Pair, ...]:
        """The pairs that a team played at home, ascending by opponent. Raises KeyError for an unknown one."""
        return tuple(pair for _, pair in sorted(self._pairs[self._ids[name]].items()))

    def update(self, home: str, away: str, home_goals: int, away_goals: int, day: int) -> Changes:
        """Take one result in; a late one, from an earlier day, counts with the lower weight of its age, and a gap of
        many seasons ages all that is known.

        Raises QuantError, the league unchanged, on a team playing itself, goals outside 0 to 99, and a team beyond
        TEAMS_MAX.
        """
        if home == away:
            raise QuantError(f"{home!r} against itself: home and away must differ")
        if not (0 <= home_goals <= GOALS_MAX and 0 <= away_goals <= GOALS_MAX):
            raise QuantError(f"{home} {home_goals}-{away_goals} {away}: goals must be 0 to {GOALS_MAX}")
        if len(self._names) + (home not in self._ids) + (away not in self._ids) > TEAMS_MAX:
            raise QuantError(f"{home} v {away}: the league has {TEAMS_MAX} teams already, use more groups")
        before = list(self._teams)
        self._enter_season(season_of(day, self.params.season_start))
        h, a = self._id(home), self._id(away)
        self._rate(h, a, home_goals, away_goals)
        paired = self._weigh(h, a, home_goals, away_goals, day)
        self._fit()
        self.state = self.state._replace(results=self.state.results + 1)
        teams = (i for i, team in enumerate(self._teams) if i >= len(before) or before[i] != team)
        return Changes(
            teams=tuple(self._names[i] for i in teams),
            pairs=tuple(self._names[i] for i in paired),
        )

    def predict(self, home: str, away: str, day: int) -> Forecast:
        """The forecast of a match on `day`; an unknown team counts as a promoted one (or an average one in the first
        season).
        """
        params = self.params
        h, a = self._find(home), self._find(away)
        new_season = season_of(day, params.season_start) > self.state.season and self.state.results > 0
        lead = self._rating(h, new_season) - self._rating(a, new_season) + params.elo.home
        p_elo = ordered_logit.probabilities(params.cuts, lead)
        h_attack, h_defence = self._strengths(h)
        a_attack, a_defence = self._strengths(a)
        home_rate, away_rate = self._goal_rates()
        p_goals = dixon_coles.outcome_probabilities(
            home_rate * h_attack * a_defence, away_rate * a_attack * h_defence, params.dixon_coles.rho
        )
        weight = params.dixon_coles_weight
        p = pool.linear((p_elo, p_goals), (1.0 - weight, weight))
        coverage = min(h.games if h else 0, a.games if a else 0)
        evidence = min(params.evidence_max, params.evidence_base + params.evidence_per_game * coverage)
        lo, hi = [], []
        for value, one, two in zip(p, p_elo, p_goals, strict=True):
            low, high = wilson(value, evidence)
            lo.append(min(low, one, two))
            hi.append(max(high, one, two))
        return Forecast(
            p=(p[0], p[1], p[2]),
            lo=(lo[0], lo[1], lo[2]),
            hi=(hi[0], hi[1], hi[2]),
            coverage=coverage,
            divergence=pool.divergence(p_elo, p_goals),
            models={"elo": p_elo, "dixon_coles": p_goals},
        )

    def _find(self, name: str) -> TeamState | None:
        team_id = self._ids.get(name)
        return None if team_id is None else self._teams[team_id]

    def _id(self, name: str) -> int:
        team_id = self._ids.get(name)
        if team_id is None:
            team_id = self._ids[name] = len(self._names)
            late = self.state.season > self.state.first_season
            rating = round((self.params.elo.promoted if late else self.params.elo.mean) * RATING_SCALE)
            attack, defence = (round(value * STRENGTH_SCALE) for value in self._prior(late))
            self._names.append(name)
            self._teams.append(TeamState(team_id, late, rating, 0, attack, defence))
            self._pairs.append({})
        return team_id

    def _prior(self, promoted: bool) -> tuple[float, float]:
        if promoted:
            return self.params.dixon_coles.promoted_attack, self.params.dixon_coles.promoted_defence
        return 1.0, 1.0

    def _enter_season(self, season: int) -> None:
        state = self.state
        if state.results == 0:
            self.state = state._replace(season=season, first_season=season)
            return
        gap = season - state.season
        if gap <= 0:
            return
        first = season if gap > LONG_GAP_SEASONS else state.first_season
        self.state = state._replace(season=season, first_season=first)
        for _ in range(gap):
            ratings = [
                round(elo.regressed(self.params.elo, team.rating / RATING_SCALE) * RATING_SCALE) for team in self._teams
            ]
            if all(team.rating == rating for team, rating in zip(self._teams, ratings, strict=True)):
                break  # at the mean: no further break changes anything
            self._teams = [team._replace(rating=rating) for team, rating in zip(self._teams, ratings, strict=True)]

    def _rate(self, h: int, a: int, home_goals: int, away_goals: int) -> None:
        home, away = self._teams[h], self._teams[a]
        ratings = elo.updated(
            self.params.elo, home.rating / RATING_SCALE, away.rating / RATING_SCALE, home_goals, away_goals
        )
        for team, rating in zip((home, away), ratings, strict=True):
            self._teams[team.team_id] = team._replace(rating=round(rating * RATING_SCALE), games=team.games + 1)

    def _weigh(self, h: int, a: int, home_goals: int, away_goals: int, day: int) -> Iterable[int]:
        """Add the result to its pair with weight 2^((day - reference) / half-life); older weights halve at each new
        reference. Returns the ids of teams whose home pairs changed.
        """
        half_life = self.params.dixon_coles.half_life
        reference = day if self.state.results == 0 else self.state.reference_day
        steps = max(0, (day - reference) // half_life)
        paired: Iterable[int] = self._halve(steps) if steps else ()
        reference += steps * half_life
        self.state = self.state._replace(reference_day=reference)
        weight = round(dixon_coles.decay(day - reference, half_life) * WEIGHT_SCALE)
        if weight == 0:
            return paired
        _, games, scored, conceded = self._pairs[h].get(a, (a, 0, 0, 0))
        pair = (a, games + weight, scored + weight * home_goals, conceded + weight * away_goals)
        if self._flat is not None:
            place = bisect.bisect_left(self._flat, (h, a))
            self._flat[place : place + (a in self._pairs[h])] = [as_floats(h, pair)]
        self._pairs[h][a] = pair
        return sorted({*paired, h})

    def _halve(self, steps: int) -> list[int]:
        """Halve every weight `steps` times; returns the ids of teams that had pairs."""
        paired = [team_id for team_id, pairs in enumerate(self._pairs) if pairs]
        self._flat = None
        for _ in range(steps):
            if not any(self._pairs):
                break
            for team_id in paired:
                halves = [halved(pair) for _, pair in sorted(self._pairs[team_id].items())]
                self._pairs[team_id] = {pair[0]: pair for pair in halves if not weighs_nothing(pair)}
        return paired

    def _fit(self) -> None:
        if self._flat is None:
            self._flat = [
                as_floats(home, pair) for home, pairs in enumerate(self._pairs) for _, pair in sorted(pairs.items())
            ]
        priors = [self._prior(team.promoted) for team in self._teams]
        home, away = self._goal_rates()
        start = dixon_coles.Fit(
            [team.attack / STRENGTH_SCALE for team in self._teams],
            [team.defence / STRENGTH_SCALE for team in self._teams],
            home,
            away,
        )
        fit = dixon_coles.fitted(
            self.params.dixon_coles, self._flat, start, [p[0] for p in priors], [p[1] for p in priors]
        )
        self._teams = [
            TeamState(team_id, promoted, rating, games, attack, defence)
            for (team_id, promoted, rating, games, _, _), attack, defence in zip(
                self._teams, _strengths(fit.attack), _strengths(fit.defence), strict=True
            )
        ]
        home_rate, away_rate = _strengths([fit.home, fit.away])
        self.state = self.state._replace(home_rate=home_rate, away_rate=away_rate)

    def _goal_rates(self) -> tuple[float, float]:
        if self.state.home_rate == 0:
            return self.params.dixon_coles.base_home, self.params.dixon_coles.base_away
        return self.state.home_rate / STRENGTH_SCALE, self.state.away_rate / STRENGTH_SCALE

    def _rating(self, team: TeamState | None, new_season: bool) -> float:
        params = self.params.elo
        if team is None:
            late = self.state.results > 0 and (new_season or self.state.season > self.state.first_season)
            return params.promoted if late else params.mean
        rating = team.rating / RATING_SCALE
        return elo.regressed(params, rating) if new_season else rating

    def _strengths(self, team: TeamState | None) -> tuple[float, float]:
        if team is not None:
            return team.attack / STRENGTH_SCALE, team.defence / STRENGTH_SCALE
        return self._prior(self.state.results > 0 and self.state.season > self.state.first_season)


def _strengths(values: Sequence[float]) -> list[int]:
    """Rounded, and inside bounds that no league of people leaves."""
    found = [round(value * STRENGTH_SCALE) for value in values]
    if min(found) < 1 or max(found) > STRENGTH_MAX:
        return [max(1, min(STRENGTH_MAX, value)) for value in found]
    return found
