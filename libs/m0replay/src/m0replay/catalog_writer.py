"""Writes signed `catalog_set`s into the log: the same bytes into every lane of the old and the new generation."""

from collections.abc import Iterable
from typing import NamedTuple

from m0common.canonical import set_hash
from m0common.clock import Clock
from m0common.errors import SettingsError
from m0common.messages import RawEvent, encode_raw, raw_event
from m0common.stream.broker import Producer
from m0common.stream.records import Produce
from m0common.topics import RAW
from m0lanes.authority import control_keys, signed
from m0lanes.control import CATALOG_SET, CatalogSetPayload, Certificate
from solders.keypair import Keypair

from m0replay.catalogs import CONTROL


class Written(NamedTuple):
    """A set that is in the log: its generation, the hash of its payload, the lanes it was written into."""

    generation: int
    hash: bytes
    lanes: tuple[int, ...]


class ControlKey:
    """The key that may sign sets of one deployment. Raises SettingsError when nobody vouches for it."""

    def __init__(
        self, keypair: Keypair, first: bytes, genesis_hash: bytes, certificates: Iterable[Certificate] = ()
    ) -> None:
        """Args: `first` is the deployment's control key, `certificates` those of the set to sign."""
        public = bytes(keypair.pubkey())
        valid = control_keys(first, genesis_hash, tuple(certificates))
        if public != valid[-1]:
            which = "was replaced by" if public in valid else "is not the deployment's:"
            raise SettingsError(f"control key {public.hex()} {which} {valid[-1].hex()}: give that one with --key")
        self._keypair, self._genesis_hash = keypair, genesis_hash

    def sign(self, message: bytes) -> bytes:
        """The 64-byte ed25519 signature of a message."""
        return bytes(self._keypair.sign_message(message))

    def event(self, payload: CatalogSetPayload, now_ms: int) -> RawEvent:
        """The signed event of a set."""
        name = f"{payload.catalog}:{payload.generation}"
        event = raw_event(CONTROL, name, "", None, CATALOG_SET, now_ms, now_ms, payload)
        return signed(event, self._genesis_hash, self.sign)


async def write(
    producer: Producer, key: ControlKey, payload: CatalogSetPayload, lanes: Iterable[int], clock: Clock
) -> Written:
    """Write a set into `lanes` and return when every one has acknowledged it. Raises Unavailable or MessageTooLarge.

    After Unavailable some lanes may hold it; it has no effect until all do, and a later generation takes its place.
    """
    event = key.event(payload, clock.now_ms())
    value = encode_raw(event)
    where = tuple(sorted(set(lanes)))
    # no key: it concerns whole lanes, and the partition is given
    await producer.send([Produce(RAW.name, lane, None, value) for lane in where])
    return Written(payload.generation, set_hash(bytes(event.payload)), where)
