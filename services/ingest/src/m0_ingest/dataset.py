"""What a replay plays: items in order of virtual time, and the markets they belong to.

A dataset has a warm-up, sent at once, and a live part that is played again and again. Both items and listings are
addressed by one index that grows for ever: `warm-up, live, live of cycle 2, live of cycle 3, …`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from m0common.errors import InvalidValue
from m0common.ids import check_market_id
from m0common.messages import BookPayload, MarketClosePayload, MatchResultPayload

Payload = MatchResultPayload | BookPayload | MarketClosePayload


@dataclass(frozen=True, slots=True)
class Item:
    """One historic event. `outcome` is the index of the outcome it settles its market with, `evidence` the source
    record.
    """

    at_ms: int
    group: str
    market: str | None
    kind: str
    payload: Payload
    outcome: int | None = None
    evidence: bytes = b""


@dataclass(frozen=True, slots=True)
class Listing:
    """A market to create on chain: virtual times at which it opens and at which its outcome may be known."""

    opens_ms: int
    settles_ms: int
    market: str
    group: str
    title: str
    outcomes: tuple[str, ...]
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placed:
    """An item or listing in its cycle (1, 2, …), with the id its market has there and the virtual time it is due."""

    index: int
    cycle: int
    market_id: str | None
    at_ms: int


def _same(payload: Payload, _: int) -> Payload:
    return payload


def _as_listed(listing: Listing, _: int) -> dict[str, str]:
    return listing.attributes


@dataclass(frozen=True)
class Dataset:
    """Items sorted by `at_ms`, listings by `opens_ms`. `span_ms` is the virtual length of a cycle, `start_ms` where the
    live part begins. `in_cycle` and `attributes_in_cycle` adapt a payload and a listing to a cycle.
    """

    warmup: Sequence[Item]
    live: Sequence[Item]
    listings: Sequence[Listing]
    start_ms: int
    span_ms: int
    in_cycle: Callable[[Payload, int], Payload] = _same
    attributes_in_cycle: Callable[[Listing, int], dict[str, str]] = _as_listed

    def __post_init__(self) -> None:
        if not self.live or not self.listings:
            raise InvalidValue("a dataset needs live items and listings: check the data files")
        names = [listing.market for listing in self.listings]
        if len(set(names)) != len(names):
            double = min({name for name in names if names.count(name) > 1})
            raise InvalidValue(f"market {double} is listed twice: ids must be unique")
        for name in names:
            check_market_id(market_in_cycle(name, 9999))

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group of the data, ascending."""
        return tuple(sorted({item.group for item in (*self.warmup, *self.live)}))

    @cached_property
    def _by_market(self) -> dict[str, Listing]:
        return {listing.market: listing for listing in self.listings}

    def item(self, index: int) -> tuple[Item, Placed]:
        """The item at a global index."""
        if index < len(self.warmup):
            item = self.warmup[index]
            return item, Placed(index, 1, None, item.at_ms)
        cycle, position = divmod(index - len(self.warmup), len(self.live))
        item = self.live[position]
        market_id = None if item.market is None else market_in_cycle(item.market, cycle + 1)
        return item, Placed(index, cycle + 1, market_id, item.at_ms + cycle * self.span_ms)

    def listing(self, index: int) -> tuple[Listing, Placed]:
        """The listing at a global index; `at_ms` is when the market opens."""
        cycle, position = divmod(index, len(self.listings))
        listing = self.listings[position]
        market_id = market_in_cycle(listing.market, cycle + 1)
        return listing, Placed(index, cycle + 1, market_id, listing.opens_ms + cycle * self.span_ms)

    def attributes(self, market_id: str) -> dict[str, str]:
        """Domain facts of a market of this dataset, empty for any other."""
        base, cycle = split_cycle(market_id)
        found = self._by_market.get(base)
        return {} if found is None else self.attributes_in_cycle(found, cycle)


def market_in_cycle(market: str, cycle: int) -> str:
    """The id a market has in a cycle: unchanged in the first, with the suffix `_C2` and so on later."""
    return market if cycle == 1 else f"{market}_C{cycle}"


def split_cycle(market_id: str) -> tuple[str, int]:
    """The market and cycle that `market_in_cycle` made an id of."""
    base, mark, number = market_id.rpartition("_C")
    return (base, int(number)) if mark and number.isdigit() and int(number) > 1 else (market_id, 1)
