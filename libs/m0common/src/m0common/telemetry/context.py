"""What of a trace travels with a message: the header `traceparent` of W3C's Trace Context, and no other."""

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]
TRACEPARENT = "traceparent"
TRACEPARENT_MAX_BYTES = 128

_TAG = b"M0TRACE1"
_FORM = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")


class Ids(NamedTuple):
    """Of a span: 16 and 8 bytes, as numbers."""

    trace_id: int
    span_id: int


def trace_of(headers: Iterable[tuple[str, bytes | None]]) -> Headers:
    """The trace that a message belongs to: of its headers the only one that anybody here reads, or passes on.

    Stages give what they say the headers of what they read, so nothing else that a writer put there may get in.
    """
    found = [value for name, value in headers if name == TRACEPARENT and value and len(value) <= TRACEPARENT_MAX_BYTES]
    return ((TRACEPARENT, found[-1]),) if found else ()


def traceparent(headers: Headers) -> str:
    """The value of the header as it may be shown to others; empty when there is none of the form of version 00."""
    found = next((value for name, value in headers if name == TRACEPARENT), b"")
    return found.decode() if _FORM.fullmatch(found) else ""


def ids_of(headers: Headers) -> Ids | None:
    """The span that headers name."""
    found = _FORM.fullmatch(traceparent(headers).encode())
    return Ids(int(found[1], 16), int(found[2], 16)) if found else None


def epoch_headers(deployment: str, catalog: str, epoch_id: int) -> Headers:
    """The trace of an epoch, which follows from its name: everybody finds it, with no message that brings it.

    sha256("M0TRACE1" | genesis hash in hex | catalog | 0x00 | epoch_id u64, little-endian): its first 16 bytes are the
    trace's id, the next 8 that of its first span, which the epoch clock makes when it writes the marker.
    """
    digest = hashlib.sha256(_TAG + f"{deployment}{catalog}\0".encode() + epoch_id.to_bytes(8, "little")).digest()
    return ((TRACEPARENT, f"00-{digest[:16].hex()}-{digest[16:24].hex()}-01".encode()),)
