"""One football league: Elo with an ordered logit, Dixon-Coles, and their pool.

State is integers (see `football_state`). A result notes what it says, at a cost that no number of teams changes; a
forecast fits the league from what is noted. The fit is no state: it is a function of the state, kept until the next
result.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from m0quant import dixon_coles, elo, ordered_logit, pool
from m0quant.dixon_coles import DixonColesParams, Fit, Played
from m0quant.elo import EloParams
from m0quant.errors import QuantError
from m0quant.football_state import (
    GOALS_MAX,
    RATING_SCALE,
    TEAMS_MAX,
    WEIGHT_SCALE,
    LeagueState,
    PairState,
    TeamState,
    aged,
)
from m0quant.interval import wilson
from m0quant.ordered_logit import CutPoints

Sides = tuple[str, str]
"""Names of the home team and the away team."""
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


def season_of(day: int, start: tuple[int, int]) -> int:
    """The year in which the season that `day` falls into began; days before year 1 and after 9999 count as those."""
    date = dt.date.fromordinal(max(1, min(dt.date.max.toordinal(), day + _EPOCH_ORDINAL)))
    return date.year if (date.month, date.day) >= start else date.year - 1


class League:
    """Ratings and results of one league's teams, updated result by result in order of time."""

    def __init__(
        self,
        params: LeagueParams | None = None,
        state: LeagueState | None = None,
        teams: Mapping[str, TeamState] | None = None,
        pairs: Mapping[Sides, PairState] | None = None,
    ) -> None:
        """A new league, or the one that these pieces describe. Raises QuantError when they do not fit together."""
        self.params = params or LeagueParams()
        self.state = state or LeagueState()
        self.fits = 0
        """How many times the league was fitted: the work that it costs."""
        self._teams = dict(teams or {})
        self._pairs = dict(pairs or {})
        self._fit: tuple[Mapping[str, int], Fit] | None = None
        missing = {name for sides in self._pairs for name in sides} - set(self._teams)
        if missing:
            raise QuantError(f"pairs of {sorted(missing)}, which are no teams of this league: their state is missing")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the teams seen, ascending."""
        return tuple(sorted(self._teams))

    def team(self, name: str) -> TeamState:
        """The state of one team. Raises KeyError for an unknown one."""
        return self._teams[name]

    def pair(self, home: str, away: str) -> PairState | None:
        """What `home` played at home to `away`, None when nothing is noted."""
        return self._pairs.get((home, away))

    def has_room(self, *names: str) -> bool:
        """Whether teams of these names are known already, or may join."""
        return len(self._teams.keys() | {*names}) <= TEAMS_MAX

    def update(self, home: str, away: str, home_goals: int, away_goals: int, day: int) -> None:
        """Take one result in; a late one, from an earlier day, counts with the lower weight of its age, and a gap of
        many seasons ages all that is known. It changes the league's state, both teams and their pair, nothing else.

        Raises QuantError, the league unchanged, on a team playing itself, goals outside 0 to 99, and a team beyond
        TEAMS_MAX.
        """
        if home == away:
            raise QuantError(f"{home!r} against itself: home and away must differ")
        if not (0 <= home_goals <= GOALS_MAX and 0 <= away_goals <= GOALS_MAX):
            raise QuantError(f"{home} {home_goals}-{away_goals} {away}: goals must be 0 to {GOALS_MAX}")
        if not self.has_room(home, away):
            raise QuantError(f"{home} v {away}: the league has {TEAMS_MAX} teams already, use more groups")
        self._enter_season(season_of(day, self.params.season_start))
        self._rate(home, away, home_goals, away_goals)
        self._weigh(home, away, home_goals, away_goals, day)
        self.state = self.state._replace(results=self.state.results + 1)
        self._fit = None

    def predict(self, home: str, away: str, day: int) -> Forecast:
        """The forecast of a match on `day`; an unknown team counts as a promoted one (or an average one in the first
        season).
        """
        params = self.params
        new_season = season_of(day, params.season_start) > self.state.season and self.state.results > 0
        lead = self._rating(home, new_season) - self._rating(away, new_season) + params.elo.home
        p_elo = ordered_logit.probabilities(params.cuts, lead)
        p_goals = self._by_goals(home, away)
        weight = params.dixon_coles_weight
        p = pool.linear((p_elo, p_goals), (1.0 - weight, weight))
        coverage = min(self._teams[name].games if name in self._teams else 0 for name in (home, away))
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

    # --- what a result notes -----------------------------------------------------------------------------------------

    def _enter_season(self, season: int) -> None:
        state = self.state
        if state.results == 0:
            self.state = state._replace(season=season, first_season=season)
        elif season > state.season:
            first = season if season - state.season > LONG_GAP_SEASONS else state.first_season
            self.state = state._replace(season=season, first_season=first)

    def _rate(self, home: str, away: str, home_goals: int, away_goals: int) -> None:
        known = [self._now(name) for name in (home, away)]
        before = [team.rating / RATING_SCALE for team in known]
        ratings = elo.updated(self.params.elo, before[0], before[1], home_goals, away_goals)
        for name, team, rating in zip((home, away), known, ratings, strict=True):
            self._teams[name] = team._replace(rating=round(rating * RATING_SCALE), games=team.games + 1)

    def _now(self, name: str) -> TeamState:
        """A team in the season of the league; one that was never seen joins."""
        team, season = self._teams.get(name), self.state.season
        if team is None:
            late = season > self.state.first_season
            rating = self.params.elo.promoted if late else self.params.elo.mean
            return TeamState(late, round(rating * RATING_SCALE), season, 0)
        rating = team.rating
        for _ in range(season - team.season):
            next_rating = round(elo.regressed(self.params.elo, rating / RATING_SCALE) * RATING_SCALE)
            if next_rating == rating:
                break  # at the mean: no further break changes anything
            rating = next_rating
        return team._replace(rating=rating, season=season)

    def _weigh(self, home: str, away: str, home_goals: int, away_goals: int, day: int) -> None:
        """Add the result to its pair with weight 2^((day - reference) / half-life); the reference moves on by whole
        half-lives, at each of which older weights halve.
        """
        half_life = self.params.dixon_coles.half_life
        reference = day if self.state.results == 0 else self.state.reference_day
        reference += max(0, (day - reference) // half_life) * half_life
        self.state = self.state._replace(reference_day=reference)
        weight = round(dixon_coles.decay(day - reference, half_life) * WEIGHT_SCALE)
        if weight > 0:
            known = aged(self._pairs.get((home, away), PairState(0, 0, 0, reference)), reference, half_life)
            self._pairs[home, away] = PairState(
                known.games + weight,
                known.home_goals + weight * home_goals,
                known.away_goals + weight * away_goals,
                reference,
            )

    # --- what a forecast needs ---------------------------------------------------------------------------------------

    def _rating(self, name: str, new_season: bool) -> float:
        params = self.params.elo
        if name not in self._teams:
            late = self.state.results > 0 and (new_season or self.state.season > self.state.first_season)
            return params.promoted if late else params.mean
        rating = self._now(name).rating / RATING_SCALE
        return elo.regressed(params, rating) if new_season else rating

    def _by_goals(self, home: str, away: str) -> tuple[float, float, float]:
        if self._fit is None:
            self._fit = self._fitted()
        places, fit = self._fit
        late = self.state.results > 0 and self.state.season > self.state.first_season
        (h_attack, h_defence), (a_attack, a_defence) = (
            (fit.attack[places[name]], fit.defence[places[name]]) if name in places else self._prior(late)
            for name in (home, away)
        )
        return dixon_coles.outcome_probabilities(
            fit.home * h_attack * a_defence, fit.away * a_attack * h_defence, self.params.dixon_coles.rho
        )

    def _prior(self, promoted: bool) -> tuple[float, float]:
        if promoted:
            return self.params.dixon_coles.promoted_attack, self.params.dixon_coles.promoted_defence
        return 1.0, 1.0

    def _fitted(self) -> tuple[Mapping[str, int], Fit]:
        """The fit and the places of teams in it, by names ascending: the same whatever order things were noted in."""
        self.fits += 1
        names = self.names
        places = {name: place for place, name in enumerate(names)}
        priors = [self._prior(self._teams[name].promoted) for name in names]
        attack, defence = [prior[0] for prior in priors], [prior[1] for prior in priors]
        return places, dixon_coles.fitted(self.params.dixon_coles, self._played(places), attack, defence)

    def _played(self, places: Mapping[str, int]) -> Played:
        count, half_life = len(places), self.params.dixon_coles.half_life
        at_home, abroad = ([[0.0] * count for _ in range(count)] for _ in range(2))
        scored, conceded, home, away = [0] * count, [0] * count, 0, 0
        for sides, pair in self._pairs.items():  # sums of integers, and cells of their own: in any order
            i, j = places[sides[0]], places[sides[1]]
            games, home_goals, away_goals, _ = aged(pair, self.state.reference_day, half_life)
            at_home[i][j] = abroad[j][i] = games / WEIGHT_SCALE
            scored[i] += home_goals
            conceded[j] += home_goals
            scored[j] += away_goals
            conceded[i] += away_goals
            home += home_goals
            away += away_goals
        return Played(
            at_home,
            abroad,
            [goals / WEIGHT_SCALE for goals in scored],
            [goals / WEIGHT_SCALE for goals in conceded],
            home / WEIGHT_SCALE,
            away / WEIGHT_SCALE,
        )
