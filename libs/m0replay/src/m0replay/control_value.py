"""The raw value of what a control key says: nothing is sent that the door of every lane would refuse."""

from m0common.errors import DeadLetterError, SettingsError
from m0common.messages import RawEvent, encode_raw
from m0lanes.authority import signed
from m0lanes.control import PAYLOADS
from m0lanes.door import decode_event, decode_payload

from m0replay.control_keys import ControlKey


def control_value(event: RawEvent, key: ControlKey) -> bytes:
    """The event with the key's signature, as it stands in `m0.raw`. Raises SettingsError naming the field that the
    door's decoder refuses.
    """
    value = encode_raw(signed(event, key.genesis_hash, key.sign))
    try:
        decode_payload(decode_event(value), PAYLOADS)
    except DeadLetterError as error:
        raise SettingsError(f"{event.source_event_id} is not written, every lane would refuse it: {error}") from None
    return value
