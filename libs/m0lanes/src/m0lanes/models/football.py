"""Match results of a league: Elo with ordered-logit draws pooled with Dixon-Coles, one league per group."""

from dataclasses import asdict

from m0common.canonical import FLAGS
from m0common.fixedpoint import BPS, PPB
from m0common.messages import Body, CatalogSet, FeatureRow, MarketOpened, MatchResult
from m0common.stream.entities import Entities
from m0quant.football import League, LeagueParams

from m0lanes.codec import pack
from m0lanes.models.distribution import Distribution, disagreement
from m0lanes.settings import param

MIN_COVERAGE_GAMES = 5
DIVERGENCE_LIMIT_PPB = 150_000_000
WIDE_INTERVAL_PPB = 350_000_000


class Football:
    """See Model in m0lanes.model."""

    name = "football"
    version = 1

    def __init__(self) -> None:
        self._params = LeagueParams()
        self._leagues: dict[str, League] = {}

    def artifact(self) -> bytes:
        """The hyperparameters, as text, since they are floats written in source code."""
        return pack([f"{key}={value!r}" for key, value in sorted(asdict(self._params).items())])

    def learn(self, body: Body) -> None:
        """Results of any match of the group, with or without a market."""
        if isinstance(body, MatchResult):
            league = self._leagues.get(body.group)
            if league is None:
                league = self._leagues[body.group] = League(self._params)
            league.update(body.home, body.away, body.home_goals, body.away_goals, body.played_day)

    def predict(self, market: MarketOpened, row: FeatureRow, config: CatalogSet) -> Distribution:
        """HOME, DRAW, AWAY. A market that is not a match between two named teams is blocked."""
        home, away = market.attributes.get("home"), market.attributes.get("away")
        day = dict(row.values).get("match_day", -1)
        if not home or not away or len(market.outcomes) != 3 or day < 0:
            return Distribution.blocked(FLAGS.LOW_COVERAGE)
        league = self._leagues.get(market.group) or League(self._params)
        forecast = league.predict(home, away, day)
        flags = FLAGS(0)
        short = max(0, param(config, "min_coverage_games", MIN_COVERAGE_GAMES) - forecast.coverage)
        if short:
            flags |= FLAGS.LOW_COVERAGE
        divergence = round(forecast.divergence * PPB)
        said = Distribution.of(forecast.p, forecast.lo, forecast.hi, 0, flags)
        if max(divergence, disagreement(said.outcomes, row)) > param(
            config, "divergence_limit_ppb", DIVERGENCE_LIMIT_PPB
        ):
            flags |= FLAGS.DIVERGENCE
        if said.widest() > param(config, "wide_interval_ppb", WIDE_INTERVAL_PPB):
            flags |= FLAGS.WIDE_INTERVAL
        # half of the scale for missing games, half for models that disagree
        missing = BPS // 2 if short else BPS // (2 * (1 + forecast.coverage))
        risk = missing + min(BPS // 2, divergence * BPS // (2 * PPB))
        return Distribution(said.outcomes, min(BPS, risk), flags)

    def settle(self, entities: Entities) -> None:
        """Only what changed is encoded again."""
        for group in sorted(self._leagues):
            league = self._leagues[group]
            for key in sorted(league.touched()):
                entities.put(f"league/{group}/{key}", league.entity(key))

    def resume(self, entities: Entities) -> None:
        """Every league from its entities."""
        grouped: dict[str, dict[str, bytes]] = {}
        for key, value in entities.with_prefix("league/"):
            group, _, rest = key.partition("/")
            grouped.setdefault(group, {})[rest] = value
        self._leagues = {}
        for group, found in sorted(grouped.items()):
            self._leagues[group] = League(self._params)
            self._leagues[group].restore(found)
