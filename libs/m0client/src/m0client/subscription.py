"""A subscription without I/O: frames in, events out, and where to resume after a lost connection."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from m0client.errors import UNDECODABLE, DecodeError, StreamError


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot", tag_field="op"):
    """The whole state of a channel at `seq`; replaces what was known. Items are JSON objects as REST gives them."""

    channel: str
    seq: int
    data: tuple[dict[str, Any], ...]


class Update(msgspec.Struct, frozen=True, tag="update", tag_field="op"):
    """One change of a channel; `ts_ms` is when it happened, `traceparent` names the span that made it, where told."""

    channel: str
    seq: int
    ts_ms: int
    data: dict[str, Any]
    traceparent: str | None = None


class Gap(msgspec.Struct, frozen=True, tag="gap", tag_field="op"):
    """Updates `from_seq` to `to_seq` of a channel will not come; `reason` is the server's; `missed` when it gave none.

    `to_seq` below `from_seq`: the channel's numbers began again. A snapshot follows a gap the server announced.
    """

    channel: str
    from_seq: int = msgspec.field(name="from")
    to_seq: int = msgspec.field(name="to")
    reason: str = "missed"


class Subscribed(msgspec.Struct, frozen=True, tag="subscribed", tag_field="op"):
    """The server accepted a subscription."""

    channels: tuple[str, ...] = ()


class _Pong(msgspec.Struct, tag="pong", tag_field="op"):
    pass


class _Unsubscribed(msgspec.Struct, tag="unsubscribed", tag_field="op"):
    pass


class _Error(msgspec.Struct, tag="error", tag_field="op"):
    code: str
    message: str


Event = Snapshot | Update | Gap
_decoder = msgspec.json.Decoder(Snapshot | Update | Gap | Subscribed | _Pong | _Unsubscribed | _Error)


class Subscription:
    """What one stream wants and how far it got, over any number of connections.

    `resume` maps channels to the last sequence number seen of each; `position` is the same, kept up to date: store it
    to go on in another process.
    """

    def __init__(self, channels: Sequence[str], resume: Mapping[str, int] | None = None) -> None:
        if isinstance(channels, str) or not channels:
            raise StreamError("no_channels", f"channels {channels!r}: give a list with at least one channel")
        self.channels = tuple(channels)
        self.position: dict[str, int] = dict(resume or {})
        self._announced: set[str] = set()

    def request(self) -> str:
        """The subscribe frame of a new connection."""
        self._announced.clear()
        frame: dict[str, object] = {"op": "subscribe", "id": 1, "channels": self.channels}
        if self.position:
            frame["resume"] = self.position
        return msgspec.json.encode(frame).decode()

    def receive(self, frame: str | bytes) -> list[Event]:
        """The events in a frame: no update twice, no hole without a Gap.

        Raises StreamError when the server refused the request, DecodeError when the frame is none of the protocol's.
        """
        try:
            message = _decoder.decode(frame)
        except UNDECODABLE as error:
            raise DecodeError(f"frame of the realtime server: {error}") from error
        match message:
            case Update(channel, seq):
                return self._update(message, channel, seq)
            case Snapshot(channel, seq):
                return self._snapshot(message, channel, seq)
            case Gap(channel):
                self._announced.add(channel)
                return [message]
            case _Error():
                raise StreamError(message.code, message.message)
            case _:
                return []

    def _update(self, message: Update, channel: str, seq: int) -> list[Event]:
        last = self.position.get(channel)
        if last is not None and seq <= last:
            return []
        self.position[channel] = seq
        if last is not None and seq > last + 1:
            return [Gap(channel, last + 1, seq - 1), message]
        return [message]

    def _snapshot(self, message: Snapshot, channel: str, seq: int) -> list[Event]:
        last = self.position.get(channel)
        self.position[channel] = seq
        missed = last is not None and seq != last and channel not in self._announced
        self._announced.discard(channel)
        if missed and last is not None:
            return [Gap(channel, last + 1, seq), message]
        return [message]
