"""Which lives of lanes `m0.raw` has begun: the newest signed `rebase` of each, whether or not anybody has read it."""

from typing import NamedTuple

import msgspec
from m0common.deployment import Deployment
from m0common.messages import RawEvent
from m0common.stream.records import Record
from m0lanes.authority import identity, is_signed_by
from m0lanes.control import REBASE, RebasePayload

from m0replay.control_log import ControlLog

_NEEDLE = REBASE.encode()
_decode_event = msgspec.json.Decoder(RawEvent).decode
_decode_rebase = msgspec.json.Decoder(RebasePayload).decode


class Begun(NamedTuple):
    """A life that a record of the log begins, and the release that it is given to, in hex."""

    life: int
    release: str


class Lives:
    """A fold over the records of `m0.raw`. What no control key of its catalog signed is passed over."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._said: dict[tuple[str, int], list[tuple[RawEvent, RebasePayload]]] = {}

    def take(self, record: Record) -> None:
        """Take one record."""
        if _NEEDLE not in record.value:
            return
        try:
            event = _decode_event(record.value)
            if event.kind != REBASE or event.group or event.market_id is not None:
                return
            payload = _decode_rebase(event.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if payload.partition == record.partition:
            self._said.setdefault((payload.catalog, payload.partition), []).append((event, payload))

    def newest(self, catalog: str, partition: int, control: ControlLog) -> Begun | None:
        """The newest life of a lane, None when it lives its first. `control` knows the catalog's control keys."""
        in_force = control.in_force(catalog)
        keys = (self._deployment.control_key,) if in_force is None else in_force.keys
        said = [
            Begun(payload.life, payload.release)
            for event, payload in self._said.get((catalog, partition), ())
            if self._is_signed(event, keys)
        ]
        return max(said, key=lambda begun: begun.life, default=None)

    def _is_signed(self, event: RawEvent, keys: tuple[bytes, ...]) -> bool:
        event_id, genesis_hash = identity(event), self._deployment.genesis_hash
        return any(is_signed_by(event, event_id, genesis_hash, key) for key in keys)
