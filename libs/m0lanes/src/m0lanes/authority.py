"""Who may say what: signatures of sources and of the control key, and the certificates between control keys.

Signatures are pure ed25519, checked strictly (no small-order keys, no second encoding of a signature).
"""

from collections.abc import Callable, Sequence

import msgspec
from m0common.canonical import certificate_message, control_message, event_id
from m0common.messages import RawEvent
from solders.pubkey import Pubkey
from solders.signature import Signature

from m0lanes.control import Certificate

Sign = Callable[[bytes], bytes]
"""Makes the 64-byte ed25519 signature of a message."""


def identity(event: RawEvent) -> bytes:
    """The event id: a hash of all of an event but the time of receipt and the signature."""
    return event_id(
        event.source,
        event.source_event_id,
        event.group,
        event.market_id,
        event.kind,
        event.event_ms,
        event.source_seq,
        event.payload,
    )


def signed(event: RawEvent, genesis_hash: bytes, sign: Sign) -> RawEvent:
    """The event with its signature, for a deployment on the chain of `genesis_hash`."""
    signature = sign(control_message(genesis_hash, identity(event)))
    return msgspec.structs.replace(event, signature=signature.hex())


def is_signed_by(event: RawEvent, event_hash: bytes, genesis_hash: bytes, key: bytes) -> bool:
    """Whether `key` (32 bytes) signed the event whose id is `event_hash`."""
    return event.signature is not None and verifies(key, event.signature, control_message(genesis_hash, event_hash))


def verifies(key: bytes, signature: str, message: bytes) -> bool:
    """Whether a signature in hex is that of `key` for `message`. A malformed one is not."""
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        return False
    # solders panics on other lengths instead of raising
    return len(raw) == 64 and len(key) == 32 and Signature.from_bytes(raw).verify(Pubkey.from_bytes(key), message)


def control_keys(first: bytes, genesis_hash: bytes, certificates: Sequence[Certificate]) -> list[bytes]:
    """The control keys that the first one vouches for, in order of their certificates, the first included.

    A certificate by a key that nobody vouches for ends the chain; what follows it counts for nothing.
    """
    keys = [first]
    for certificate in certificates:
        old, new = bytes.fromhex(certificate.old), bytes.fromhex(certificate.new)
        if old != keys[-1] or not verifies(old, certificate.signature, certificate_message(genesis_hash, old, new)):
            break
        keys.append(new)
    return keys
