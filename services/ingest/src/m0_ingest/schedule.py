"""Where a replay stands and when its next events are due; survives restarts.

Before a batch is sent its last index is saved as the *intent*: whatever was possibly written keeps the anchor it was
sent with, so that sending it again gives the same bytes, while a long stop may move everything after it.
"""

import msgspec
from m0common.clock import Clock

from m0_ingest.dataset import Dataset, Item, Listing, Placed
from m0_ingest.state import StateFile
from m0_ingest.timeline import DAY_MS, Anchor


class ReplayState(msgspec.Struct, forbid_unknown_fields=True):
    """`cursor`: last item acknowledged. `intent`: last item possibly written, with `bare` those sent without a market.
    `listed`: last listing done. `seen_ms`: when this was last true. The newest anchor is last; older ones serve the
    intent.
    """

    anchors: list[Anchor]
    seen_ms: int
    cursor: int = -1
    intent: int = -1
    bare: list[int] = []
    listed: int = -1


class Schedule:
    """A dataset in time."""

    def __init__(
        self, dataset: Dataset, file: StateFile[ReplayState], clock: Clock, day_lasts_ms: int, lead_ms: int, gap_ms: int
    ) -> None:
        self.dataset = dataset
        self.state = ReplayState([], 0)
        self._file = file
        self._clock = clock
        self._day_lasts_ms = day_lasts_ms
        self._lead_ms = lead_ms
        self._gap_ms = gap_ms

    async def start(self) -> bool:
        """Go on from the saved state, or begin. True when the clock of history was moved because of a long stop."""
        now = self._clock.now_ms()
        saved = self._file.load()
        moved = False
        if saved is None:
            lead = self._lead_ms * DAY_MS // self._day_lasts_ms
            self.state = ReplayState([Anchor(0, now, self.dataset.start_ms - lead, self._day_lasts_ms)], now)
        else:
            self.state = saved
            newest = saved.anchors[-1]
            if now - saved.seen_ms > self._gap_ms or newest.day_lasts_ms != self._day_lasts_ms:
                moved = True
                virtual = newest.virtual_of(min(saved.seen_ms, now))
                anchor = Anchor(saved.intent + 1, now, virtual, self._day_lasts_ms)
                saved.anchors = [self._anchor(saved.cursor + 1), anchor]
        await self.save()
        return moved

    def has_sent(self) -> bool:
        """Whether an earlier life may have written events."""
        saved = self._file.load()
        return saved is not None and saved.intent >= 0

    async def save(self) -> None:
        """Make the present state what a restart finds."""
        self.state.seen_ms = self._clock.now_ms()
        await self._file.save(self.state)

    def item(self, index: int) -> tuple[Item, Placed, int]:
        """An item, its place, and when it is due."""
        item, placed = self.dataset.item(index)
        return item, placed, self._anchor(index).now_of(placed.at_ms)

    def listing(self, index: int) -> tuple[Listing, Placed, int, int]:
        """A listing, its place, when its market opens and when its outcome may be known."""
        listing, placed = self.dataset.listing(index)
        anchor = self.state.anchors[-1]
        opens = anchor.now_of(placed.at_ms)
        return listing, placed, opens, anchor.now_of(placed.at_ms + listing.settles_ms - listing.opens_ms)

    def _anchor(self, index: int) -> Anchor:
        return next(anchor for anchor in reversed(self.state.anchors) if anchor.from_index <= index)
