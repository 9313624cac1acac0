"""Stage 1: what a lane does with an event of a group of its own: it passes it over, holds it back, or applies it."""

from collections import Counter
from collections.abc import Sequence

from m0common.errors import DeadLetterError
from m0common.messages import RawEvent
from m0common.stream.core import Letter, Output
from m0common.stream.records import Record

from m0lanes.applied import Dropped
from m0lanes.holding import Held, Refill
from m0lanes.normalize_state import NormalizeState
from m0lanes.place import NO_GROUP, TOO_FAR_AHEAD
from m0lanes.routes import Routes
from m0lanes.slots import Slot

OTHER = "other"
"""Under this name sources are counted that no catalog lists."""


class Observations:
    """The lanes' events. `drops` counts the ordinary ones that were dropped, by source and reason."""

    def __init__(self, routes: Routes, drops: Counter[tuple[str, str]]) -> None:
        self._routes = routes
        self._drops = drops

    def take(self, slot: Slot[NormalizeState], record: Record, event: RawEvent) -> Sequence[Output]:
        """An event where it stands in the log."""
        state, offset = slot.state, record.offset
        if state.refill is not None and (refill := state.refilling(offset)) is not None:
            return self._take_again(slot, refill, record, event)
        if offset <= slot.input_offset:
            return ()
        slot.input_offset = offset
        slot.position += 1
        place = state.place
        why_not = place.verdict(event, record.append_ms)
        if why_not is not None:
            self._drop(slot, event, why_not)
            if why_not is TOO_FAR_AHEAD and place.generation is not None:
                state.applier.note(event, place.generation)
            return ()
        if event.event_ms < place.open_end_ms:
            return self._apply(slot, record, event)
        state.holding.add(Held(record, event, place))
        return ()

    def _take_again(
        self, slot: Slot[NormalizeState], refill: Refill, record: Record, event: RawEvent
    ) -> Sequence[Output]:
        held = refill.held(record, event)
        if held is None:
            return ()
        if refill.is_due(event):
            return self.apply_held(slot, held)
        slot.state.holding.add(held)
        return ()

    def apply_held(self, slot: Slot[NormalizeState], held: Held) -> Sequence[Output]:
        """An event whose window is open now, or that no window will open for since its lane ends here."""
        state, (record, event, place) = slot.state, held
        now = state.in_force
        if now is None or state.ends or event.group not in now.groups:
            self._drop(slot, event, NO_GROUP)
            # its group may come back, and with it whoever has a copy of this
            for made in (place.generation, now):
                if made is not None and state.applier.note(event, made):
                    break
            return ()
        return self._apply(slot, record, event)

    def pass_over(self) -> None:
        """An event of a group that no catalog names."""
        self._drops[OTHER, NO_GROUP] += 1

    def _apply(self, slot: Slot[NormalizeState], record: Record, event: RawEvent) -> Sequence[Output]:
        try:
            said = slot.state.applier.apply(event, record.append_ms, slot.state.digest)
        except DeadLetterError as error:
            if self._routes.speaker(record.partition, event.group) is slot:
                return [Letter(record, error)]
            self._drop(slot, event, error.error)
            return ()
        if isinstance(said, Dropped):
            self._drop(slot, event, said.value)
            return ()
        return slot.say_all(said, record.offset, record.headers, event.group.encode())

    def _drop(self, slot: Slot[NormalizeState], event: RawEvent, reason: str) -> None:
        now = slot.state.in_force
        listed = now is not None and now.rule(event.source) is not None
        self._drops[event.source if listed else OTHER, reason] += 1
