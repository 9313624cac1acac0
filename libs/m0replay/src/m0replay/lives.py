"""Which lives of lanes `m0.raw` has begun: the newest signed `rebase` of each, whether or not anybody has read it."""

from typing import NamedTuple

import msgspec
from m0common.deployment import Deployment
from m0common.messages import RawEvent
from m0common.messages.codec import UNDECODABLE
from m0common.stream.records import Record
from m0lanes.authority import control_keys, identity, is_signed_by
from m0lanes.control import REBASE, RebasePayload

_NEEDLE = REBASE.encode()
_decode_event = msgspec.json.Decoder(RawEvent).decode
_decode_rebase = msgspec.json.Decoder(RebasePayload).decode


class Begun(NamedTuple):
    """A life that a record of the log begins, the release that it is given to, in hex, and the generation that was in
    force when it was written, 0 where none was.
    """

    life: int
    release: str
    generation: int


class Lives:
    """A fold over the records of `m0.raw`. What none of the deployment's control keys signed is passed over."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._newest: dict[tuple[str, int], Begun] = {}

    def take(self, record: Record) -> None:
        """Take one record."""
        if _NEEDLE not in record.value:
            return
        try:
            event = _decode_event(record.value)
            if event.kind != REBASE or event.group or event.market_id is not None:
                return
            payload = _decode_rebase(event.payload)
        except UNDECODABLE:
            return
        if payload.partition == record.partition and self._is_signed(event, payload):
            lane, now = (payload.catalog, payload.partition), payload.in_force
            begun = Begun(payload.life, payload.release, 0 if now is None else now.generation)
            self._newest[lane] = max(self._newest.get(lane, begun), begun, key=lambda each: each.life)

    def newest(self, catalog: str, partition: int) -> Begun | None:
        """The newest life of a lane, None when it lives its first."""
        return self._newest.get((catalog, partition))

    def _is_signed(self, event: RawEvent, payload: RebasePayload) -> bool:
        genesis_hash = self._deployment.genesis_hash
        keys = control_keys(self._deployment.control_key, genesis_hash, payload.certificates)
        return is_signed_by(event, identity(event), genesis_hash, keys[-1])
