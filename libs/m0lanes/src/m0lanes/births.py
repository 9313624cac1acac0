"""The beginning of a life: a `rebase` that the control key signed, carried through all stages as it was signed.

Every stage asks for itself who signed it: whoever may write between the stages cannot begin a life.
"""

from typing import Final, NamedTuple

from m0common.canonical import rebase_hash
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.messages import LaneMessage, RawEvent, encode_raw

from m0lanes.authority import control_keys, identity, is_signed_by
from m0lanes.bodies import EVENT_MAX_BYTES, Rebased, decode_body
from m0lanes.control import PAYLOADS, RebasePayload
from m0lanes.door import decode_event, decode_payload

FIRST_SEQ: Final = 1


class Birth(NamedTuple):
    """What a signed `rebase` says, its hash, and the event as every stage says it on."""

    payload: RebasePayload
    hash: bytes
    event: bytes

    @property
    def release(self) -> bytes:
        """The release that the life is given to."""
        return bytes.fromhex(self.payload.release)

    def root(self, stage: int) -> bytes:
        """The digest of the state that a stage goes on from."""
        return bytes.fromhex(self.payload.roots[stage - 1])


def birth(event: RawEvent, payload: RebasePayload) -> Birth:
    """The birth that an event is; whose signature that is, is for the caller to ask. Raises DeadLetterError."""
    raw = encode_raw(event)
    if len(raw) > EVENT_MAX_BYTES:
        raise DeadLetterError("too_large", f"rebase of {len(raw)} bytes: at most {EVENT_MAX_BYTES}")
    return Birth(payload, rebase_hash(bytes(event.payload)), raw)


def born(message: LaneMessage, deployment: Deployment) -> Birth:
    """The birth that a `rebased` message brings. Raises DeadLetterError unless it is the first message of the very life
    that the event in it begins, and a control key of the deployment signed that.
    """
    where = f"{message.catalog}/{message.partition}"
    event = decode_event(decode_body(message.body, Rebased).event)
    payload = decode_payload(event, PAYLOADS)
    if not isinstance(payload, RebasePayload) or event.group or event.market_id is not None:
        raise DeadLetterError("not_a_lane_body", f"a life of {where} begins with a rebase, not with {event.kind}")
    said = (message.catalog, message.partition, message.life, message.release, message.seq)
    begun = (payload.catalog, payload.partition, payload.life, bytes.fromhex(payload.release), FIRST_SEQ)
    if said != begun:
        raise DeadLetterError(
            "wrong_life",
            f"message {message.seq} of life {message.life} of {where} brings the rebase to life {payload.life} of "
            f"{payload.catalog}/{payload.partition}",
        )
    keys = control_keys(deployment.control_key, deployment.genesis_hash, payload.certificates)
    if not is_signed_by(event, identity(event), deployment.genesis_hash, keys[-1]):
        raise DeadLetterError(
            "wrong_signature", f"life {message.life} of {where} is not signed by control key {keys[-1].hex()}"
        )
    return birth(event, payload)
