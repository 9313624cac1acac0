"""Bounded values that messages are made of. A bound that is broken makes the decoder refuse the message."""

from typing import Annotated

import msgspec

END = r"(?![\s\S])"
"""The very end of a text, in Python's and in ECMAScript's dialect alike (`$` also matches before a last newline)."""

Millis = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
"""UTC milliseconds from 1970 to the end of year 9999."""
Digest = bytes
"""32 bytes."""
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
U16 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
I64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""A number that only grows: epochs, sequence numbers, offsets."""
