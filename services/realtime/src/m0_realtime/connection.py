"""One client: its place in the hub, its bounded buffer, its requests."""

import asyncio

from m0common.telemetry.logs import logger
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import OPEN

from m0_realtime import limits, metrics, protocol
from m0_realtime.hub import Hub
from m0_realtime.protocol import BadRequest, Ping, Subscribe, Unsubscribe

_log = logger(__name__)


class Client:
    """A Listener over a WebSocket of a client at `address`, which the log names.

    Frames are written straight to the transport, already framed: its buffer is the client's buffer, and it is bounded.
    """

    def __init__(self, socket: ServerConnection, hub: Hub, address: str) -> None:
        self._socket = socket
        self._hub = hub
        self._address = address
        self._allowance = 0
        self._cut = False

    def write(self, frames: bytes) -> None:
        """See Listener. A client that has too much unread is cut with a reason."""
        if self._cut or self._socket.protocol.state is not OPEN:
            return
        self._socket.transport.write(frames)
        waiting = self._socket.transport.get_write_buffer_size()
        if waiting <= limits.MAX_BUFFERED_BYTES:
            self._allowance = 0
        elif waiting > limits.MAX_BUFFERED_BYTES + self._allowance:
            self._cut_off(waiting)

    def write_burst(self, frames: bytes) -> None:
        """See Listener."""
        if self._cut or self._socket.protocol.state is not OPEN:
            return
        self._allowance += len(frames)
        self._socket.transport.write(frames)

    def _cut_off(self, waiting: int) -> None:
        self._cut = True
        metrics.SLOW.inc()
        _log.info("slow_consumer", address=self._address, unread_bytes=waiting)
        self._socket.protocol.send_close(
            limits.SLOW_CONSUMER_CODE, "slow_consumer: read faster or subscribe to less, then resume"
        )
        self._socket.send_data()
        asyncio.get_running_loop().call_later(limits.ABORT_AFTER_S, self._socket.transport.abort)

    async def serve(self) -> None:
        """Answer requests until the connection closes."""
        budget = _Budget()
        try:
            async for message in self._socket:
                await budget.spend()
                try:
                    self._answer(message)
                except BadRequest as error:
                    metrics.REFUSED.labels(error.code).inc()
                    self.write_burst(protocol.wire(protocol.error(error.code, error.message, error.request_id)))
                # whoever asks without reading the answers waits here
                await self._socket.drain()
        except ConnectionClosed:
            pass
        finally:
            self._hub.forget(self)

    def _answer(self, message: str | bytes) -> None:
        match protocol.read(message):
            case Subscribe(channels=channels, id=request_id, resume=resume):
                self._hub.subscribe(self, request_id, channels, resume)
            case Unsubscribe(channels=channels, id=request_id):
                self._hub.unsubscribe(self, request_id, channels)
            case Ping(id=request_id):
                self.write_burst(protocol.wire(protocol.pong(request_id)))


class _Budget:
    """A token bucket over a client's requests; who exceeds it waits."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._tokens = float(limits.REQUEST_BURST)
        self._at = self._now()

    async def spend(self) -> None:
        now = self._now()
        self._tokens = min(float(limits.REQUEST_BURST), self._tokens + (now - self._at) * limits.REQUESTS_PER_S)
        self._at = now
        self._tokens -= 1.0
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / limits.REQUESTS_PER_S)
