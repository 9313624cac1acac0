"""A recorded history, as ingest plays it: items in order of virtual time, and the markets they belong to.

A history has a warm-up, sent at once, and a live part. When it is over it is played again as another *season*: the same
payloads and attributes under new group names and market ids, so that an empty model learns them anew and nothing is
ever learned twice. Season 1 is the history as it is; in season s a group is `eng.1~s`, a market id ends in `_Ss` and a
title in `(replay, season s)`: the public has this word for such data.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import msgspec
from m0common.errors import InvalidValue
from m0common.ids import check_market_id

GROUP_MAX_CHARS = 32
TITLE_MAX_BYTES = 96
"""What the registry program takes."""
SEASON_MAX = 9_999
_GROUP = re.compile(r"[!-~]+")
_SEASON_MARK = re.compile(r"(.+)_S([1-9][0-9]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Observation:
    """A historic event to write to `m0.raw`; `payload` has been checked. `evidence` is the source record."""

    at_ms: int
    group: str
    market: str | None
    kind: str
    payload: msgspec.Struct
    evidence: bytes = b""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The outcome of a market, by name, where no observation decides it. It is no event of `m0.raw`."""

    at_ms: int
    group: str
    market: str
    outcome: str
    evidence: bytes = b""


Item = Observation | Resolution


@dataclass(frozen=True, slots=True)
class Listing:
    """A market to create on chain: virtual times at which it opens and at which its outcome may be known."""

    opens_ms: int
    resolves_after_ms: int
    market: str
    group: str
    title: str
    outcomes: tuple[str, ...]
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placed:
    """An item as it is in a season: `item` has the group, market id and virtual time that it has there.

    `source_seq` numbers the observations of a group from 1 and follows from the place in the season alone, so sending
    again gives the same bytes; 0 for a resolution.
    """

    season: int
    index: int
    source_seq: int
    source_event_id: str
    item: Item


@dataclass(frozen=True)
class Dataset:
    """Items sorted by `at_ms`, listings by `opens_ms`. `span_ms` is the virtual length of a season, `start_ms` where
    the live part of the first one begins. Raises InvalidValue when ids, groups or titles are not fit for every season.
    """

    warmup: Sequence[Observation]
    live: Sequence[Item]
    listings: Sequence[Listing]
    start_ms: int
    span_ms: int

    def __post_init__(self) -> None:
        if not self.live or not self.listings:
            raise InvalidValue("a dataset needs live items and listings: check the data files")
        for listing in self.listings:
            if _SEASON_MARK.fullmatch(listing.market):
                raise InvalidValue(f"market {listing.market}: an id must not end like that of a season, `_S2`")
            check_market_id(market_in_season(listing.market, SEASON_MAX))
        times = Counter(listing.market for listing in self.listings)
        market, count = times.most_common(1)[0]
        if count > 1:
            raise InvalidValue(f"market {market} is listed {count} times: ids must be unique")
        for group in self._base_groups:
            if not _GROUP.fullmatch(group) or "~" in group:
                raise InvalidValue(f"group {group!r}: use printable ASCII without blanks and ~, which marks a season")
            if len(group_in_season(group, SEASON_MAX)) > GROUP_MAX_CHARS:
                most = GROUP_MAX_CHARS - len(group_in_season("", SEASON_MAX))
                raise InvalidValue(f"group {group!r} has {len(group)} characters: use at most {most}")

    def groups(self, season: int) -> tuple[str, ...]:
        """Every group that a season writes to, ascending."""
        return tuple(sorted(group_in_season(group, season) for group in self._base_groups))

    @property
    def item_count(self) -> int:
        """Items of a season, warm-up included."""
        return len(self.warmup) + len(self.live)

    @property
    def warmup_count(self) -> int:
        """Items at the beginning of a season that are to be sent at once."""
        return len(self.warmup)

    @property
    def listing_count(self) -> int:
        """Markets of a season."""
        return len(self.listings)

    def item(self, season: int, index: int) -> Placed:
        """The item at an index of a season, `0 <= index < item_count`; the warm-up comes first."""
        base = self._items[index]
        at_ms, group = base.at_ms + (season - 1) * self.span_ms, group_in_season(base.group, season)
        item: Item
        if base.market is None:
            item = replace(base, at_ms=at_ms, group=group)
        else:
            item = replace(base, at_ms=at_ms, group=group, market=market_in_season(base.market, season))
        return Placed(season, index, self._source_seqs[index], f"{season}.{index}", item)

    def listing(self, season: int, index: int) -> Listing:
        """The listing at an index of a season, `0 <= index < listing_count`."""
        return self._placed(self.listings[index], season)

    def find(self, market_id: str) -> Listing | None:
        """The listing of a market id of any season; None when it is not a market of this dataset."""
        base, season = split_season(market_id)
        found = self._by_market.get(base)
        return None if found is None else self._placed(found, season)

    def _placed(self, listing: Listing, season: int) -> Listing:
        shift = (season - 1) * self.span_ms
        return replace(
            listing,
            opens_ms=listing.opens_ms + shift,
            resolves_after_ms=listing.resolves_after_ms + shift,
            market=market_in_season(listing.market, season),
            group=group_in_season(listing.group, season),
            title=title_in_season(listing.title, season),
        )

    @cached_property
    def _items(self) -> tuple[Item, ...]:
        return (*self.warmup, *self.live)

    @cached_property
    def _base_groups(self) -> frozenset[str]:
        return frozenset(item.group for item in self._items) | {listing.group for listing in self.listings}

    @cached_property
    def _source_seqs(self) -> tuple[int, ...]:
        last: Counter[str] = Counter()
        seqs = []
        for item in self._items:
            if isinstance(item, Observation):
                last[item.group] += 1
            seqs.append(last[item.group] if isinstance(item, Observation) else 0)
        return tuple(seqs)

    @cached_property
    def _by_market(self) -> dict[str, Listing]:
        return {listing.market: listing for listing in self.listings}


def group_in_season(group: str, season: int) -> str:
    """The name a group has in a season: unchanged in the first, `eng.1~2` in the second."""
    return group if _checked(season) == 1 else f"{group}~{season}"


def market_in_season(market: str, season: int) -> str:
    """The id a market has in a season: unchanged in the first, with the suffix `_S2` in the second."""
    return market if _checked(season) == 1 else f"{market}_S{season}"


def title_in_season(title: str, season: int) -> str:
    """A title that says which season it is, cut so that the registry takes it."""
    suffix = "" if _checked(season) == 1 else f" (replay, season {season})"
    room = TITLE_MAX_BYTES - len(suffix)
    return title.encode()[:room].decode(errors="ignore") + suffix


def split_season(market_id: str) -> tuple[str, int]:
    """The market and season that `market_in_season` made an id of."""
    found = _SEASON_MARK.fullmatch(market_id)
    if found is None or not 1 < int(found[2]) <= SEASON_MAX:
        return market_id, 1
    return found[1], int(found[2])


def _checked(season: int) -> int:
    if not 1 <= season <= SEASON_MAX:
        raise InvalidValue(f"season {season}: count from 1 to {SEASON_MAX}")
    return season
