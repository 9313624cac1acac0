"""One football league: Elo with an ordered logit, Dixon-Coles, and their pool.

State is integers (see `football_state`); floats live inside one `update` or `predict`. Everything is iterated in
order of team ids, which are themselves state, so a league restored from its entities goes on with the same bits.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from m0quant import dixon_coles, elo, ordered_logit, pool
from m0quant.dixon_coles import DixonColesParams
from m0quant.elo import EloParams
from m0quant.errors import QuantError
from m0quant.football_state import (
    GOALS_MAX,
    RATING_SCALE,
    STRENGTH_SCALE,
    WEIGHT_SCALE,
    LeagueState,
    PairState,
    StrengthState,
    TeamState,
)
from m0quant.interval import wilson
from m0quant.ordered_logit import CutPoints

_EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()
MAX_SEASON_GAP = 5
"""A result that lies further ahead than this is refused: taken in, it would age everything known to nothing."""


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


def season_of(day: int, start: tuple[int, int]) -> int:
    """The year in which the season that `day` falls into began; days before year 1 and after 9999 count as those."""
    date = dt.date.fromordinal(max(1, min(dt.date.max.toordinal(), day + _EPOCH_ORDINAL)))
    return date.year if (date.month, date.day) >= start else date.year - 1


class League:
    """Ratings and strengths of one league's teams, updated result by result in order of time."""

    def __init__(self, params: LeagueParams | None = None) -> None:
        self.params = params or LeagueParams()
        self._league = LeagueState()
        self._strength = StrengthState()
        self._teams: dict[str, TeamState] = {}
        self._by_id: list[TeamState] = []
        self._pairs: list[dixon_coles.Pair] | None = None
        self._positions: dict[tuple[int, int], int] = {}
        self._touched: set[str] = set()

    @property
    def teams(self) -> tuple[str, ...]:
        """Names of the teams seen, in order of their first result."""
        return tuple(team.name for team in self._by_id)

    @property
    def results(self) -> int:
        """Results taken in since the league began."""
        return self._league.results

    def update(self, home: str, away: str, home_goals: int, away_goals: int, day: int) -> None:
        """Take one result in; a late one, from an earlier day, counts with the lower weight of its age.

        Raises QuantError, the league unchanged, on a team playing itself, goals outside 0 to 99, or a day more than
        MAX_SEASON_GAP seasons ahead.
        """
        if home == away:
            raise QuantError(f"{home!r} against itself: home and away must differ")
        if not (0 <= home_goals <= GOALS_MAX and 0 <= away_goals <= GOALS_MAX):
            raise QuantError(f"{home} {home_goals}-{away_goals} {away}: goals must be 0 to {GOALS_MAX}")
        self._enter_season(season_of(day, self.params.season_start))
        h, a = self._team(home), self._team(away)
        self._rate(h, a, home_goals, away_goals)
        self._weigh(h, a, home_goals, away_goals, day)
        self._fit()
        h.games += 1
        a.games += 1
        self._league.results += 1
        self._touched |= {"league", "strength", h.key, a.key}

    def predict(self, home: str, away: str, day: int) -> Forecast:
        """The forecast of a match on `day`; an unknown team counts as a promoted one (or an average one in the first
        season).
        """
        params = self.params
        h, a = self._teams.get(home), self._teams.get(away)
        new_season = season_of(day, params.season_start) > self._league.season and self._league.results > 0
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

    def entities(self) -> dict[str, bytes]:
        """The whole state as `key -> canonical bytes`: `league`, `strength` and `team/<id>` for every team."""
        found = {"league": self._league.encode(), "strength": self._strength.encode()}
        found.update((team.key, team.encode()) for team in self._by_id)
        return found

    def entity(self, key: str) -> bytes:
        """The canonical bytes of one entity. Raises KeyError when there is none of that key."""
        if key == "league":
            return self._league.encode()
        if key == "strength":
            return self._strength.encode()
        for team in self._by_id:
            if team.key == key:
                return team.encode()
        raise KeyError(key)

    def touched(self) -> set[str]:
        """Keys of entities changed since the last call; only they need encoding again."""
        touched, self._touched = self._touched, set()
        return touched

    def restore(self, entities: Mapping[str, bytes]) -> None:
        """Become the league that `entities()` described. Raises QuantError when they do not fit together."""
        try:
            self._league = LeagueState.decode(entities["league"])
            self._strength = StrengthState.decode(entities["strength"])
        except KeyError as error:
            raise QuantError(f"entity {error} is missing: a league needs 'league' and 'strength'") from error
        teams = [TeamState.decode(raw) for key, raw in entities.items() if key.startswith("team/")]
        teams.sort(key=lambda team: team.team_id)
        if [team.team_id for team in teams] != list(range(len(self._strength.attack))):
            raise QuantError(f"{len(teams)} team entities for {len(self._strength.attack)} strengths: some are missing")
        self._by_id = teams
        self._teams = {team.name: team for team in teams}
        self._pairs = None
        self._touched = set()

    def _team(self, name: str) -> TeamState:
        team = self._teams.get(name)
        if team is None:
            joined_late = self._league.season > self._league.first_season
            rating = self.params.elo.promoted if joined_late else self.params.elo.mean
            team = TeamState(
                team_id=len(self._by_id), name=name, promoted=joined_late, rating=round(rating * RATING_SCALE)
            )
            self._teams[name] = team
            self._by_id.append(team)
            attack, defence = self._prior(team)
            self._strength.attack.append(round(attack * STRENGTH_SCALE))
            self._strength.defence.append(round(defence * STRENGTH_SCALE))
            self._pairs = None
        return team

    def _prior(self, team: TeamState) -> tuple[float, float]:
        if team.promoted:
            return self.params.dixon_coles.promoted_attack, self.params.dixon_coles.promoted_defence
        return 1.0, 1.0

    def _enter_season(self, season: int) -> None:
        league = self._league
        if league.results == 0:
            league.first_season = league.season = season
        if season > league.season + MAX_SEASON_GAP:
            raise QuantError(
                f"a result of season {season} after season {league.season}: at most {MAX_SEASON_GAP} seasons may lie "
                "between, check its date"
            )
        while league.season < season:
            league.season += 1
            for team in self._by_id:
                team.rating = round(elo.regressed(self.params.elo, team.rating / RATING_SCALE) * RATING_SCALE)
                self._touched.add(team.key)

    def _rate(self, h: TeamState, a: TeamState, home_goals: int, away_goals: int) -> None:
        home, away = elo.updated(
            self.params.elo, h.rating / RATING_SCALE, a.rating / RATING_SCALE, home_goals, away_goals
        )
        h.rating, a.rating = round(home * RATING_SCALE), round(away * RATING_SCALE)

    def _weigh(self, h: TeamState, a: TeamState, home_goals: int, away_goals: int, day: int) -> None:
        """Add the result to its pair with weight 2^((day - reference) / half-life); older weights halve at each new
        reference.
        """
        league, half_life = self._league, self.params.dixon_coles.half_life
        if league.results == 0:
            league.reference_day = day
        while day - league.reference_day >= half_life:
            league.reference_day += half_life
            for team in self._by_id:
                team.halve()
                self._touched.add(team.key)
            self._pairs = None
        weight = round(dixon_coles.decay(day - league.reference_day, half_life) * WEIGHT_SCALE)
        pair = h.pairs.get(a.team_id)
        if pair is None:
            pair = h.pairs[a.team_id] = PairState()
            self._pairs = None
        pair.games += weight
        pair.home_goals += weight * home_goals
        pair.away_goals += weight * away_goals
        if self._pairs is not None:
            self._pairs[self._positions[h.team_id, a.team_id]] = pair.as_floats(h.team_id, a.team_id)

    def _fit(self) -> None:
        if self._pairs is None:
            self._pairs = [
                team.pairs[other].as_floats(team.team_id, other) for team in self._by_id for other in sorted(team.pairs)
            ]
            self._positions = {(pair[0], pair[1]): index for index, pair in enumerate(self._pairs)}
        state = self._strength
        priors = [self._prior(team) for team in self._by_id]
        home, away = self._goal_rates()
        start = dixon_coles.Fit(
            [value / STRENGTH_SCALE for value in state.attack],
            [value / STRENGTH_SCALE for value in state.defence],
            home,
            away,
        )
        fit = dixon_coles.fitted(
            self.params.dixon_coles, self._pairs, start, [p[0] for p in priors], [p[1] for p in priors]
        )
        state.attack = [round(value * STRENGTH_SCALE) for value in fit.attack]
        state.defence = [round(value * STRENGTH_SCALE) for value in fit.defence]
        state.home_rate, state.away_rate = round(fit.home * STRENGTH_SCALE), round(fit.away * STRENGTH_SCALE)

    def _goal_rates(self) -> tuple[float, float]:
        if self._strength.home_rate == 0:
            return self.params.dixon_coles.base_home, self.params.dixon_coles.base_away
        return self._strength.home_rate / STRENGTH_SCALE, self._strength.away_rate / STRENGTH_SCALE

    def _rating(self, team: TeamState | None, new_season: bool) -> float:
        params = self.params.elo
        if team is None:
            late = self._league.results > 0 and (new_season or self._league.season > self._league.first_season)
            return params.promoted if late else params.mean
        rating = team.rating / RATING_SCALE
        return elo.regressed(params, rating) if new_season else rating

    def _strengths(self, team: TeamState | None) -> tuple[float, float]:
        if team is not None:
            return (
                self._strength.attack[team.team_id] / STRENGTH_SCALE,
                self._strength.defence[team.team_id] / STRENGTH_SCALE,
            )
        if self._league.results > 0 and self._league.season > self._league.first_season:
            return self.params.dixon_coles.promoted_attack, self.params.dixon_coles.promoted_defence
        return 1.0, 1.0
