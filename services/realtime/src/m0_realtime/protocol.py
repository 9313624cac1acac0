"""The frames of `/ws`, one JSON object each: client requests in, server frames out (bytes, encoded once)."""

import struct
from collections.abc import Iterable
from typing import Annotated

import msgspec
from m0common.errors import M0Error
from m0common.messages.codec import UNDECODABLE

Id = int | Annotated[str, msgspec.Meta(max_length=128)] | None
Channels = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1024)]
Seq = Annotated[int, msgspec.Meta(ge=0)]


class Subscribe(msgspec.Struct, tag="subscribe", tag_field="op"):
    """`resume` maps channels to the last sequence number the client has of each."""

    channels: Channels
    id: Id = None
    resume: Annotated[dict[str, Seq], msgspec.Meta(max_length=1024)] = {}


class Unsubscribe(msgspec.Struct, tag="unsubscribe", tag_field="op"):
    """Leave these channels."""

    channels: Channels
    id: Id = None


class Ping(msgspec.Struct, tag="ping", tag_field="op"):
    """Ask for a pong."""

    id: Id = None


Request = Subscribe | Unsubscribe | Ping


class _Envelope(msgspec.Struct):
    op: object = None
    id: object = None


class BadRequest(M0Error):
    """A client message that cannot be served: `code` is stable, `request_id` the client's when it could be read."""

    def __init__(self, code: str, message: str, request_id: Id = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id


_requests = msgspec.json.Decoder(Subscribe | Unsubscribe | Ping)
_envelopes = msgspec.json.Decoder(_Envelope)
_encode = msgspec.json.Encoder().encode
OPS = ("subscribe", "unsubscribe", "ping")


def read(message: str | bytes) -> Request:
    """The request in a client message; BadRequest for anything else."""
    if isinstance(message, bytes):
        raise BadRequest("binary_frame", "send JSON objects in text frames")
    try:
        request: Request = _requests.decode(message)
    except UNDECODABLE as error:
        raise _explain(message, str(error)) from error
    return request


def _explain(message: str, reason: str) -> BadRequest:
    try:
        envelope = _envelopes.decode(message)
    except msgspec.ValidationError:
        return BadRequest("bad_request", "send a JSON object with an op")
    except UNDECODABLE:
        return BadRequest("bad_json", f"not JSON: {reason}")
    request_id = envelope.id if isinstance(envelope.id, (int, str)) and not isinstance(envelope.id, bool) else None
    if isinstance(request_id, str):
        request_id = request_id[:128]
    if envelope.op not in OPS:
        return BadRequest("unknown_op", f"op {str(envelope.op)[:32]!r}: use one of {', '.join(OPS)}", request_id)
    return BadRequest("bad_request", reason, request_id)


def _frame(op: str, request_id: Id = None, **fields: object) -> bytes:
    head: dict[str, object] = {"op": op}
    if request_id is not None:
        head["id"] = request_id
    return _encode(head | fields)


def subscribed(request_id: Id, channels: Iterable[str]) -> bytes:
    """The subscription was accepted; snapshots or updates follow."""
    return _frame("subscribed", request_id, channels=list(channels))


def unsubscribed(request_id: Id, channels: Iterable[str]) -> bytes:
    """No more frames of these channels."""
    return _frame("unsubscribed", request_id, channels=list(channels))


def pong(request_id: Id) -> bytes:
    """The answer to a ping."""
    return _frame("pong", request_id)


def error(code: str, message: str, request_id: Id = None) -> bytes:
    """A request was refused."""
    return _frame("error", request_id, code=code, message=message)


def gap(channel: str, first: int, last: int, reason: str) -> bytes:
    """Updates `first` to `last` will not come; a snapshot follows. `last` below `first`: numbers began again."""
    return _encode({"op": "gap", "channel": channel, "from": first, "to": last, "reason": reason})


def snapshot(channel: str, seq: int, items: Iterable[bytes]) -> bytes:
    """The state of a channel at `seq`; items are encoded JSON objects."""
    return b'{"op":"snapshot","channel":"%b","seq":%d,"data":[%b]}' % (channel.encode(), seq, b",".join(items))


def update(channel: str, seq: int, ts_ms: int, data: bytes, trace: str = "") -> bytes:
    """One change; `data` is an encoded JSON object, `trace` a `traceparent` where there is one."""
    head = b'{"op":"update","channel":"%b","seq":%d,"ts_ms":%d,' % (channel.encode(), seq, ts_ms)
    named = b'"traceparent":"%b",' % trace.encode() if trace else b""
    return b'%b%b"data":%b}' % (head, named, data)


def wire(payload: bytes) -> bytes:
    """An unmasked, final WebSocket text frame around `payload`, as a server sends it (RFC 6455 section 5.2)."""
    length = len(payload)
    if length < 126:
        return struct.pack("!BB", 0x81, length) + payload
    if length < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, length) + payload
    return struct.pack("!BBQ", 0x81, 127, length) + payload
