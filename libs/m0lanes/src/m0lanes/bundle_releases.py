"""Stage 4: which release is in force in a catalog at a place in its log, and who reads it there.

At every place in the log one release is in force in a catalog. Which one follows from the log and not from what a
process has: whoever reads up to there, from whatever state, finds the same one, has taken the same messages and has
closed the same epochs. Only what lanes say under it is taken; the rest waits until its release is in force, or until
its lane begins a new life. So no epoch has lanes of two releases, and a build with several of them says what the others
say. Another release comes into force, and the catalog goes to the builds that have it:

- at an epoch whose marker says so. The manifest of that epoch names it, and who has it goes on from there.
- at the first marker of a catalog's first generation, where a lane of a later one was heard before.
- behind an epoch that no lane goes on from. There the catalog has ended: everybody waits for it and reads alike what is
  still said of its past, and nothing that goes beyond is taken, until the first marker of the generation that comes
  next. Who has the release of that one goes on from the first message that was not taken.
- at the signed `rebase` of a lane to another release. Who had the catalog may be gone, so nobody waits for it to hand
  over: who has that release goes on from the newest state there is, and reads up to the rebase as the other one does,
  whatever is in force on the way. So both close the same epochs before that place, and behind it the new one alone.

A pipeline cannot read again what waits, and it hears of its lanes in another order: it takes what every release of its
own says, and closes an epoch when all of its lanes have said it under one.
"""

from collections.abc import Container

from m0common.messages import LaneMessage

from m0lanes.bundle_reading import Reading
from m0lanes.bundle_state import BundleState
from m0lanes.slots import NO_RELEASE, Slot


class Releases:
    """What follows for a process that has the releases `here`. `ordered` is whether it hears of its lanes in the order
    of the log, as all do but a pipeline.
    """

    def __init__(self, here: Container[bytes], *, ordered: bool) -> None:
        self._here = here
        self.ordered = ordered

    def in_force(self, slot: Slot[BundleState]) -> bytes:
        """The release that an epoch must be said under, zero bytes where each one tells it: the first of a catalog, and
        any in a pipeline.
        """
        return slot.release if self.ordered and slot.state.last_epoch >= 0 else NO_RELEASE

    def keeps(self, reading: Reading, offset: int, release: bytes) -> bool:
        """Whether a catalog is read here, at this place, with this release in force."""
        return release in self._here or offset < reading.until

    def is_others(self, slot: Slot[BundleState], reading: Reading, offset: int) -> bool:
        """Whether a catalog was read up to where it was called for and another release is in force there."""
        is_told = slot.release != NO_RELEASE and not slot.retired and offset > reading.until
        return is_told and slot.release not in self._here

    def hears(self, slot: Slot[BundleState], release: bytes) -> bool:
        """Whether what is said under a release is to be taken."""
        if not self.ordered:
            return release in self._here
        return slot.retired or slot.release in (NO_RELEASE, release)

    def is_first(self, slot: Slot[BundleState], message: LaneMessage) -> bool:
        """Whether this marker says that a catalog begins under another release than that of whoever spoke first."""
        if not self.ordered or slot.state.last_epoch >= 0 or message.release == slot.release:
            return False
        is_first_life = not any(life for life, _ in slot.input_seqs.values())
        return not slot.retired and is_first_life and message.life == 0 and slot.state.is_next(message)
