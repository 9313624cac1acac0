"""Bounded values that messages are made of. A bound that is broken makes the decoder refuse the message."""

from typing import Annotated

import msgspec

END = r"(?![\s\S])"
"""The very end of a text, in Python's and in ECMAScript's dialect alike (`$` also matches before a last newline)."""

MILLIS_MAX = 253_402_300_799_999
Millis = Annotated[int, msgspec.Meta(ge=0, le=MILLIS_MAX)]
"""UTC milliseconds from 1970 to the end of year 9999."""
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""32 bytes."""
SIGNED_MAX_BYTES = 128 << 10
Signed = Annotated[bytes, msgspec.Meta(max_length=SIGNED_MAX_BYTES)]
"""An event of `m0.raw` with its signature, as JSON; or nothing where there is none."""
Hex32 = Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{64}}{END}")]
"""32 bytes in lower-case hex."""
Hex64 = Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{128}}{END}")]
"""64 bytes in lower-case hex."""
Source = Annotated[str, msgspec.Meta(pattern=f"^[!-~]{{1,64}}{END}")]
Group = Annotated[str, msgspec.Meta(pattern=f"^[!-~]{{1,32}}{END}")]
"""What shares model state: 1 to 32 printable ASCII characters without blanks."""
GroupOrNone = Annotated[str, msgspec.Meta(pattern=f"^[!-~]{{0,32}}{END}")]
"""A group, or the empty text of kinds that concern a whole lane."""
Kind = Annotated[str, msgspec.Meta(pattern=f"^[a-z][a-z0-9_]{{0,31}}{END}")]
MarketId = Annotated[str, msgspec.Meta(pattern=f"^[A-Z0-9_]{{1,64}}{END}")]
CatalogName = Annotated[str, msgspec.Meta(pattern=f"^[a-z0-9_-]{{1,16}}{END}")]
CatalogText = Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
"""As long as a catalog's name; a reader of many messages checks the form where it hears a name for the first time."""
KindText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""As long as a kind; one of another form is of no kind that is known."""
MarketText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""As long as a market id; one of another form is of no market that is open."""
ModelText = Annotated[str, msgspec.Meta(max_length=64)]
"""The name of a model, or the empty text of none."""
U16 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
I64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""A number that only grows: epochs, sequence numbers, offsets."""
CountOrNone = Annotated[int, msgspec.Meta(ge=-1, le=(1 << 63) - 1)]
"""A count, or -1 before the first."""
PARTITIONS_MAX = 1_024
Partition = Annotated[int, msgspec.Meta(ge=0, lt=PARTITIONS_MAX)]
LIFE_END = (1 << 32) - 1
Life = Annotated[int, msgspec.Meta(ge=0, lt=LIFE_END)]
"""Of a lane. The number of the life behind it fits in 32 bits too."""
