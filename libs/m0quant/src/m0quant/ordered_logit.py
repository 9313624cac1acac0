"""Three-way probabilities from a rating difference: the ordered logit.

Source: R. Koning, The Statistician 49 (2000), and any text on cumulative link models. Order: HOME, DRAW, AWAY.
"""

from dataclasses import dataclass

from m0quant import detmath
from m0quant.errors import QuantError


@dataclass(frozen=True, slots=True)
class CutPoints:
    """`slope` per 400 points of rating difference; `home` and `away` are the cut points, in logits, that a result
    must pass to be a home or an away win. Their sum must be positive: it is the room of the draw.
    """

    slope: float = 2.3
    home: float = 0.6
    away: float = 0.6

    def __post_init__(self) -> None:
        if self.home + self.away <= 0.0:
            raise QuantError(f"cut points {self.home} and {self.away}: their sum must be positive")


def probabilities(cuts: CutPoints, rating_difference: float) -> tuple[float, float, float]:
    """`(home, draw, away)` for the home team's lead in rating points (home advantage included or in the cut points)."""
    x = cuts.slope * rating_difference / 400.0
    home = detmath.sigmoid(x - cuts.home)
    away = detmath.sigmoid(-x - cuts.away)
    return home, max(0.0, 1.0 - home - away), away
