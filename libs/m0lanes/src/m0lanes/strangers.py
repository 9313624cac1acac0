"""Lanes that a later stage hears of. One comes into being through the message that begins it.

A message in the middle of a lane that nothing is known of is either what is left of a lane that lost its state here and
the head of its log, or the word of somebody who may write into the topic and invents lanes. The log does not tell them
apart. So a few of these strangers are held, parked and told of, without a state that anybody would save; of more of
them each message is a letter. Should what begins the lane come after all, it begins.
"""

from collections.abc import Callable
from typing import Final

from m0common.errors import DeadLetterError
from m0common.ids import Lane, check_catalog
from m0common.messages import LaneMessage
from m0common.messages.codec import checked

from m0lanes.births import FIRST_SEQ
from m0lanes.slots import S, Slot, Slots

STRANGERS_MAX: Final = 64
"""So many lanes of which nothing is known a stage holds."""


def heard(
    slots: Slots[S], lane: Lane, message: LaneMessage, fresh: Callable[[Lane, bytes], Slot[S]], *, newborn: bool
) -> Slot[S]:
    """The slot of the lane that a message is of. `newborn`: a signed rebase in it begins a life.

    Raises DeadLetterError when no lane can have its name, or there are too many strangers to hold another one.
    """
    known = slots.get(lane)
    if known is not None and not known.stranger:
        return known
    begins = newborn or _begins(message)
    if known is not None and not begins:
        return known
    with checked("not_a_lane_message"):
        check_catalog(lane.catalog)
    if not begins and len([slot for slot in slots.all() if slot.stranger]) >= STRANGERS_MAX:
        raise DeadLetterError(
            "unknown_lane",
            f"message {message.seq} of {message.catalog}/{message.partition}, which has not begun here, like "
            f"{STRANGERS_MAX} others: restart the stage when 'm0 lane list' names that lane",
        )
    slot = fresh(lane, message.release)
    slot.midway = not begins
    return slots.add(slot)


def about(slot: Slot[S]) -> str:
    """What to know of a stranger before anything is done about it; nothing of others."""
    if not slot.stranger:
        return ""
    return "nothing else is known of it, and if 'm0 lane list' does not name it somebody made it up; else "


def _begins(message: LaneMessage) -> bool:
    """Whether this is the first message of a lane's first life, which brings the release that speaks in it."""
    return (message.life, message.seq, message.kind) == (0, FIRST_SEQ, "generation")
