"""Channels and who listens to them. Updates are encoded once and leave in one write per client and tick. No I/O."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from m0common.errors import InvalidValue

from m0_realtime import limits, metrics, protocol
from m0_realtime.channel import Channel
from m0_realtime.names import Kind, Name, parse
from m0_realtime.protocol import BadRequest, Id


class Listener(Protocol):
    """A client as the hub sees it; must not block and must not raise."""

    def write(self, frames: bytes) -> None:
        """Send frames that are already on the wire format; the listener may cut itself off when it is behind."""
        ...

    def write_burst(self, frames: bytes) -> None:
        """As `write`, for what the client asked for: it does not count as being behind."""
        ...


Schedule = Callable[[], None]
"""Arranges that `flush` is called within a tick."""


class Hub:
    """All channels of the process. Provisional ones count from `provisional_base`: their numbers are not in the log."""

    def __init__(self, schedule: Schedule, provisional_base: int = 0) -> None:
        self._schedule = schedule
        self._provisional_base = provisional_base
        self._channels: dict[Name, Channel] = {}
        self._listeners: dict[Name, dict[Listener, None]] = {}
        self._patterns: dict[Kind, dict[Listener, None]] = {}
        self._held: dict[Listener, set[Name]] = {}
        self._pending: dict[Name, list[bytes]] = {}

    # --- publishing -------------------------------------------------------------------------------------------------

    def channel(self, name: Name, base: int = 0) -> Channel:
        """The channel, made when it is new: it then counts from `base`, and listeners of its pattern learn of it."""
        channel = self._channels.get(name)
        if channel is not None:
            return channel
        channel = self._channels[name] = self._new(name, base)
        waiting = self._listeners.get(name, {})
        # those who wait for it were shown an empty channel
        missed = b"".join(map(protocol.wire, channel.catch_up(self._new(name).seq)))
        for listener in waiting if missed else ():
            listener.write(missed)
        for listener in self._patterns.get(name.kind, ()):
            if listener not in waiting:
                self._listeners.setdefault(name, {})[listener] = None
                listener.write(protocol.wire(channel.snapshot()))
        return channel

    def _new(self, name: Name, base: int = 0) -> Channel:
        return Channel(name, self._provisional_base if name.kind is Kind.PROVISIONAL else base)

    def publish(
        self, name: Name, key: str, data: bytes, ts_ms: int, *, base: int = 0, in_state: bool = True, trace: str = ""
    ) -> None:
        """Append an update and send it at the next tick; `trace` is the `traceparent` that clients are told."""
        channel = self.channel(name, base)
        entry = channel.append(key, data, ts_ms, in_state=in_state, trace=trace)
        metrics.UPDATES.labels(name.kind).inc()
        if self._listeners.get(name):
            if not self._pending:
                self._schedule()
            self._pending.setdefault(name, []).append(protocol.wire(channel.encode(entry)))

    def flush(self) -> None:
        """Write what is pending: one write per client."""
        pending, self._pending = self._pending, {}
        out: dict[Listener, list[bytes]] = {}
        for name, frames in pending.items():
            joined = b"".join(frames)
            listeners = self._listeners.get(name, {})
            metrics.FRAMES.inc(len(frames) * len(listeners))
            for listener in listeners:
                out.setdefault(listener, []).append(joined)
        for listener, parts in out.items():
            listener.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def retire_market(self, catalog: str, market_id: str) -> None:
        """A market takes no more predictions: it leaves the snapshots of its catalog."""
        for kind in (Kind.PREDICTIONS, Kind.PROVISIONAL):
            self.retire(Name(kind, catalog), market_id)
        if channel := self._channels.get(Name(Kind.MARKET, market_id)):
            channel.trim()

    def retire(self, name: Name, key: str) -> None:
        """Show `key` in snapshots of a channel no more."""
        if channel := self._channels.get(name):
            channel.retire(key)

    def rebase(self, shifts: Mapping[Name, int]) -> None:
        """Give channels their true numbers; only before anybody listens."""
        for name, shift in shifts.items():
            self.channel(name).rebase(shift)

    # --- listening --------------------------------------------------------------------------------------------------

    def subscribe(self, listener: Listener, request_id: Id, texts: Iterable[str], resume: Mapping[str, int]) -> None:
        """Bring the listener up to date on channels and patterns and keep it so. BadRequest changes nothing."""
        names = _parse(texts, request_id)
        held = self._held.get(listener, set())
        if len(held | set(names)) > limits.MAX_CHANNELS_PER_CLIENT:
            raise BadRequest(
                "too_many_channels",
                f"{len(held | set(names))} channels: at most {limits.MAX_CHANNELS_PER_CLIENT} for a connection",
                request_id,
            )
        self.flush()  # what is pending belongs to those who listened before
        self._held.setdefault(listener, set()).update(names)
        frames = [protocol.subscribed(request_id, [str(name) for name in names])]
        for name in self._expand(listener, names):
            self._listeners.setdefault(name, {})[listener] = None
            channel = self._channels.get(name) or self._new(name)
            frames += channel.catch_up(resume.get(channel.text))
        listener.write_burst(b"".join(map(protocol.wire, frames)))

    def _expand(self, listener: Listener, names: Iterable[Name]) -> list[Name]:
        found: dict[Name, None] = {}
        for name in names:
            if name.is_pattern:
                self._patterns.setdefault(name.kind, {})[listener] = None
                found |= dict.fromkeys(known for known in self._channels if known.kind is name.kind)
            else:
                found[name] = None
        return list(found)

    def unsubscribe(self, listener: Listener, request_id: Id, texts: Iterable[str]) -> None:
        """Leave channels and patterns; one that is not held is left without complaint."""
        names = _parse(texts, request_id)
        self.flush()
        held = self._held.setdefault(listener, set())
        held.difference_update(names)
        for name in names:
            if name.is_pattern:
                self._patterns.get(name.kind, {}).pop(listener, None)
                left = [n for n in self._listeners if n.kind is name.kind and n not in held]
            else:
                left = [] if Name(name.kind, "*") in held else [name]
            for each in left:
                self._leave(each, listener)
        listener.write_burst(protocol.wire(protocol.unsubscribed(request_id, [str(name) for name in names])))

    def forget(self, listener: Listener) -> None:
        """The listener is gone."""
        for name in self._held.pop(listener, set()):
            if name.is_pattern:
                self._patterns.get(name.kind, {}).pop(listener, None)
                for each in [n for n in self._listeners if n.kind is name.kind]:
                    self._leave(each, listener)
            else:
                self._leave(name, listener)

    def _leave(self, name: Name, listener: Listener) -> None:
        listeners = self._listeners.get(name)
        if listeners is not None:
            listeners.pop(listener, None)
            if not listeners:
                del self._listeners[name]

    @property
    def subscriptions(self) -> int:
        """Channels and patterns held by all listeners."""
        return sum(map(len, self._held.values()))


def _parse(texts: Iterable[str], request_id: Id) -> list[Name]:
    try:
        return list(dict.fromkeys(parse(text) for text in texts))
    except InvalidValue as error:
        raise BadRequest("unknown_channel", str(error), request_id) from error
