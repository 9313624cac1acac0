"""The integer state of a football league and its canonical bytes (little-endian)."""

import struct
from dataclasses import dataclass, field

from m0quant.errors import QuantError

RATING_SCALE = 1_000_000
"""Elo points, in millionths."""
STRENGTH_SCALE = 1_000_000_000
"""Attack and defence strengths and goals per game, in billionths."""
WEIGHT_SCALE = 1_000_000
"""Decayed games and goals, in millionths."""
GOALS_MAX = 99

_LEAGUE = struct.Struct("<Qiii")
_STRENGTH = struct.Struct("<qqH")
_TEAM = struct.Struct("<HBqIHB")
_PAIR = struct.Struct("<HQQQ")


@dataclass(slots=True)
class LeagueState:
    """`results` seen; `season` the current one (the year it began) and `first_season`; `reference_day` at which a new
    result weighs 1.
    """

    results: int = 0
    season: int = 0
    first_season: int = 0
    reference_day: int = 0

    def encode(self) -> bytes:
        """`results u64 | season i32 | first_season i32 | reference_day i32`."""
        return _LEAGUE.pack(self.results, self.season, self.first_season, self.reference_day)

    @classmethod
    def decode(cls, raw: bytes) -> "LeagueState":
        """The state in `raw`. Raises QuantError when the length is wrong."""
        if len(raw) != _LEAGUE.size:
            raise QuantError(f"league state of {len(raw)} bytes: it is {_LEAGUE.size}")
        return cls(*_LEAGUE.unpack(raw))


@dataclass(slots=True)
class StrengthState:
    """Attack and defence by team id and the league's goals per game (0: nothing fitted yet), scale STRENGTH_SCALE."""

    attack: list[int] = field(default_factory=list)
    defence: list[int] = field(default_factory=list)
    home_rate: int = 0
    away_rate: int = 0

    def encode(self) -> bytes:
        """`home_rate i64 | away_rate i64 | n u16 | n attack i64 | n defence i64`."""
        count = len(self.attack)
        head = _STRENGTH.pack(self.home_rate, self.away_rate, count)
        return head + struct.pack(f"<{2 * count}q", *self.attack, *self.defence)

    @classmethod
    def decode(cls, raw: bytes) -> "StrengthState":
        """The state in `raw`. Raises QuantError when the length is wrong."""
        if len(raw) < _STRENGTH.size:
            raise QuantError(f"strength state of {len(raw)} bytes: it is at least {_STRENGTH.size}")
        home, away, count = _STRENGTH.unpack_from(raw)
        if len(raw) != _STRENGTH.size + 16 * count:
            raise QuantError(
                f"strength state of {len(raw)} bytes for {count} teams: {_STRENGTH.size + 16 * count} needed"
            )
        values = struct.unpack_from(f"<{2 * count}q", raw, _STRENGTH.size)
        return cls(list(values[:count]), list(values[count:]), home, away)


@dataclass(slots=True)
class PairState:
    """Decayed games, home goals and away goals of one ordered pair, scale WEIGHT_SCALE."""

    games: int = 0
    home_goals: int = 0
    away_goals: int = 0

    def as_floats(self, home: int, away: int) -> tuple[int, int, float, float, float]:
        """The pair as the fit reads it."""
        return (
            home,
            away,
            self.games / WEIGHT_SCALE,
            self.home_goals / WEIGHT_SCALE,
            self.away_goals / WEIGHT_SCALE,
        )


@dataclass(slots=True)
class TeamState:
    """One team: its id (order of first result), rating (scale RATING_SCALE), games seen, and its home games by
    opponent.
    """

    team_id: int
    name: str
    promoted: bool
    rating: int
    games: int = 0
    pairs: dict[int, PairState] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The entity key; zero-padded so that keys sort like ids."""
        return f"team/{self.team_id:04d}"

    def halve(self) -> None:
        """Halve every weight (half to even) and forget pairs that no longer weigh anything."""
        for opponent in list(self.pairs):
            pair = self.pairs[opponent]
            pair.games, pair.home_goals, pair.away_goals = (
                (value + (value >> 1 & 1)) >> 1 for value in (pair.games, pair.home_goals, pair.away_goals)
            )
            if pair.games * 100 < WEIGHT_SCALE:
                del self.pairs[opponent]

    def encode(self) -> bytes:
        """`id u16 | promoted u8 | rating i64 | games u32 | pairs u16 | name length u8 | name | pairs times (opponent
        u16 | games u64 | home goals u64 | away goals u64)`, pairs ascending by opponent.
        """
        name = self.name.encode()
        head = _TEAM.pack(self.team_id, self.promoted, self.rating, self.games, len(self.pairs), len(name))
        rows = [
            _PAIR.pack(opponent, pair.games, pair.home_goals, pair.away_goals)
            for opponent, pair in sorted(self.pairs.items())
        ]
        return head + name + b"".join(rows)

    @classmethod
    def decode(cls, raw: bytes) -> "TeamState":
        """The state in `raw`. Raises QuantError when the length is wrong or the name is not UTF-8."""
        try:
            team_id, promoted, rating, games, count, name_bytes = _TEAM.unpack_from(raw)
            end = _TEAM.size + name_bytes
            name = raw[_TEAM.size : end].decode()
        except (struct.error, UnicodeDecodeError) as error:
            raise QuantError(f"team state of {len(raw)} bytes: {error}") from error
        if len(raw) != end + count * _PAIR.size:
            raise QuantError(f"team state of {len(raw)} bytes with {count} pairs: {end + count * _PAIR.size} needed")
        team = cls(team_id, name, bool(promoted), rating, games)
        for opponent, pair_games, home_goals, away_goals in _PAIR.iter_unpack(raw[end:]):
            team.pairs[opponent] = PairState(pair_games, home_goals, away_goals)
        return team
