"""The beginning of a life: a `rebase` that the control key signed, carried through all stages as it was signed.

Every stage asks for itself who signed it: whoever may write between the stages cannot begin a life.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from m0common.canonical import ZERO, rebase_hash
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import LaneMessage, Manifest, RawEvent, encode_raw
from m0common.messages.types import SIGNED_MAX_BYTES
from m0common.stream.restored import LANE_STAGES

from m0lanes.authority import control_keys, identity, is_signed_by
from m0lanes.bodies import Rebased, decode_body
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
    if len(raw) > SIGNED_MAX_BYTES:
        raise DeadLetterError("too_large", f"rebase of {len(raw)} bytes: at most {SIGNED_MAX_BYTES}")
    return Birth(payload, rebase_hash(bytes(event.payload)), raw)


def born(message: LaneMessage, deployment: Deployment) -> Birth:
    """The birth that a `rebased` message brings. Raises DeadLetterError unless it is the first message of the very life
    that the event in it begins, and a control key of the deployment signed that.
    """
    begins = _signed(
        decode_body(message.body, Rebased).event, message.catalog, message.partition, message.life, deployment
    )
    if (message.release, message.seq) != (begins.release, FIRST_SEQ):
        raise DeadLetterError(
            "wrong_life",
            f"message {message.seq} of release {message.release.hex()} brings the rebase that begins life "
            f"{message.life} of {message.catalog}/{message.partition} under release {begins.payload.release}",
        )
    return begins


def no_life(manifest: Manifest, deployment: Deployment) -> str | None:
    """Why nobody goes on from a manifest, whatever it is over: no signed rebase begins its life, or it has read what is
    of another one. None when that is well.
    """
    if manifest.stage not in LANE_STAGES:
        return f"stage {manifest.stage} has no life {manifest.life}" if manifest.life or manifest.rebase else None
    reason = not_born(manifest.rebase, Lane(manifest.catalog, manifest.partition), manifest.life, deployment)
    if reason is not None:
        return reason
    mine = (manifest.partition, manifest.life)
    others = [source for source in manifest.input_seqs if (source.partition, source.life) != mine]
    return f"it has read life {others[0].life} of lane {others[0].partition}" if others else None


def not_born(signed: bytes, lane: Lane, life: int, deployment: Deployment) -> str | None:
    """Why a signed event does not begin this life of a lane, None when it does; nothing begins life 0."""
    if life == 0:
        return f"nothing begins life 0, and there is {signed[:64]!r}" if signed else None
    if not signed:
        return f"no rebase begins life {life} of {lane.catalog}/{lane.partition}"
    try:
        _signed(signed, *lane, life, deployment)
    except DeadLetterError as error:
        return str(error)
    return None


def hash_of(signed: bytes) -> bytes:
    """The hash of a signed rebase, zero bytes where there is none."""
    try:
        return rebase_hash(bytes(decode_event(signed).payload)) if signed else ZERO
    except DeadLetterError:
        return ZERO


def signed_rebase(signed: bytes) -> RebasePayload:
    """What the signed event says that begins a life. Raises DeadLetterError where it is none."""
    payload = decode_payload(decode_event(signed), PAYLOADS)
    if not isinstance(payload, RebasePayload):
        raise DeadLetterError("not_a_lane_body", "a life begins with a rebase")
    return payload


@lru_cache(1_024)
def _signed(signed: bytes, catalog: str, partition: int, life: int, deployment: Deployment) -> Birth:
    """The birth of this very life. Raises DeadLetterError."""
    where = f"{catalog}/{partition}"
    event = decode_event(signed)
    payload = decode_payload(event, PAYLOADS)
    if not isinstance(payload, RebasePayload) or event.group or event.market_id is not None:
        raise DeadLetterError("not_a_lane_body", f"a life of {where} begins with a rebase, not with {event.kind}")
    if (catalog, partition, life) != (payload.catalog, payload.partition, payload.life):
        raise DeadLetterError(
            "wrong_life",
            f"life {life} of {where} does not begin with the rebase to life {payload.life} of "
            f"{payload.catalog}/{payload.partition}",
        )
    keys = control_keys(deployment.control_key, deployment.genesis_hash, payload.certificates)
    if not is_signed_by(event, identity(event), deployment.genesis_hash, keys[-1]):
        raise DeadLetterError(
            "wrong_signature", f"life {life} of {where} is not signed by control key {keys[-1].hex()}"
        )
    return birth(event, payload)
