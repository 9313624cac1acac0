"""Where a history stands and when its next events are due.

A season has an anchor that maps its time to now. What was written stands in one transaction with the cursor and the
anchor it was dated by, so what follows may be dated anew after a long pause.
"""

from collections.abc import Collection

import msgspec
from m0common.clock import Clock
from m0domains.history import Dataset, Listing, Placed
from m0domains.timeline import DAY_MS, Anchor


class HistoryState(msgspec.Struct, forbid_unknown_fields=True):
    """`season` and the last of its items that is written (`cursor`). `anchor` is None until the season begins;
    `seen_ms` is when it last went on.
    """

    season: int = 1
    cursor: int = -1
    anchor: Anchor | None = None
    seen_ms: int = 0

    def has_sent(self) -> bool:
        """Whether events have been written."""
        return self.season > 1 or self.cursor >= 0


class Schedule:
    """A dataset in time. `gap_ms` is the pause after which history goes on where it was instead of catching up."""

    def __init__(
        self, dataset: Dataset, state: HistoryState, clock: Clock, day_lasts_ms: int, lead_ms: int, gap_ms: int
    ) -> None:
        self.dataset = dataset
        self.state = state
        self._clock = clock
        self._day_lasts_ms = day_lasts_ms
        self._lead_ms = lead_ms
        self._gap_ms = gap_ms

    @property
    def groups(self) -> tuple[str, ...]:
        """What the present season writes to."""
        return self.dataset.groups(self.state.season)

    @property
    def over(self) -> bool:
        """Whether every item of the season is written."""
        return self.state.cursor + 1 >= self.dataset.item_count

    def follow(self, named: Collection[str]) -> bool:
        """Go on to now; False while the present season may not begin or go on: nobody names its groups.

        It begins when all its groups are named.
        """
        state, now = self.state, self._clock.now_ms()
        if not named or (state.anchor is None and not set(self.groups) <= set(named)):
            return False
        if state.anchor is None:
            start = self.dataset.start_ms + (state.season - 1) * self.dataset.span_ms
            lead = self._lead_ms * DAY_MS // self._day_lasts_ms
            state.anchor = Anchor(0, now, start - lead, self._day_lasts_ms)
        elif now - state.seen_ms > self._gap_ms or state.anchor.day_lasts_ms != self._day_lasts_ms:
            virtual = state.anchor.virtual_of(min(state.seen_ms, now))
            state.anchor = Anchor(state.cursor + 1, now, virtual, self._day_lasts_ms)
        state.seen_ms = now
        return True

    def next_season(self) -> None:
        """Leave the present season, which is over; the next one has not begun."""
        self.state = HistoryState(season=self.state.season + 1)

    def item(self, index: int) -> tuple[Placed, int]:
        """An item of the season and when it is due. The warm-up is due at once, and dated so: it is old knowledge that
        is learned now.
        """
        placed = self.dataset.item(self.state.season, index)
        anchor = self._anchor()
        if index < self.dataset.warmup_count:
            return placed, anchor.now_ms
        return placed, anchor.now_of(placed.item.at_ms)

    def listing(self, index: int) -> tuple[Listing, int, int]:
        """A listing of the season, when its market opens and when its outcome may be known."""
        listing = self.dataset.listing(self.state.season, index)
        anchor = self._anchor()
        return listing, anchor.now_of(listing.opens_ms), anchor.now_of(listing.resolves_after_ms)

    def _anchor(self) -> Anchor:
        assert self.state.anchor is not None, "the season has not begun"
        return self.state.anchor
