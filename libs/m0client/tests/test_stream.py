"""Streams: no update twice, no hole without a Gap, and a lost connection goes on where it stopped."""

import asyncio
import json
import threading
from contextlib import asynccontextmanager, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0client import AsyncClient, Client, DecodeError, Gap, Snapshot, StreamError, Subscription, TransportError, Update
from m0client import stream as stream_module
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError

CH = "epochs.sports"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(stream_module, "FIRST_DELAY_S", 0.001)


def update(seq, channel=CH):
    return json.dumps({"op": "update", "channel": channel, "seq": seq, "ts_ms": seq, "data": {"n": seq}})


def snapshot(seq, channel=CH, data=()):
    return json.dumps({"op": "snapshot", "channel": channel, "seq": seq, "data": list(data)})


def gap(start, end, reason="expired"):
    return json.dumps({"op": "gap", "channel": CH, "from": start, "to": end, "reason": reason})


def feed(subscription, *frames):
    return [event for frame in frames for event in subscription.receive(frame)]


def test_a_snapshot_then_updates_come_through_in_order():
    events = feed(Subscription([CH]), snapshot(4, data=[{"n": 4}]), update(5), update(6))
    assert events[0] == Snapshot(CH, 4, ({"n": 4},))
    assert [e.seq for e in events] == [4, 5, 6]


def test_an_update_tells_the_span_that_made_it_where_the_server_does():
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    told = json.dumps(json.loads(update(5)) | {"traceparent": parent})
    events = feed(Subscription([CH]), snapshot(4), told, update(6))
    assert [event.traceparent for event in events[1:]] == [parent, None]


def test_what_was_seen_before_is_not_given_twice():
    events = feed(Subscription([CH]), snapshot(4), update(3), update(4), update(5), update(5))
    assert [type(e).__name__ for e in events] == ["Snapshot", "Update"]


def test_a_hole_the_server_did_not_announce_becomes_a_gap():
    events = feed(Subscription([CH]), snapshot(4), update(8))
    assert events[1] == Gap(CH, 5, 7, "missed")
    assert events[2].seq == 8


def test_an_announced_gap_is_told_once_and_the_snapshot_after_it_sets_the_place():
    subscription = Subscription([CH], {CH: 2})
    events = feed(subscription, gap(3, 9), snapshot(9), update(10))
    assert events[0] == Gap(CH, 3, 9, "expired")
    assert [type(e) for e in events] == [Gap, Snapshot, Update]
    assert subscription.position == {CH: 10}


def test_a_snapshot_further_on_without_a_word_is_a_gap():
    events = feed(Subscription([CH], {CH: 2}), snapshot(9))
    assert events == [Gap(CH, 3, 9, "missed"), Snapshot(CH, 9, ())]


def test_numbers_that_began_again_are_followed():
    events = feed(Subscription([CH], {CH: 50}), gap(51, 3, "reset"), snapshot(3), update(4))
    assert [type(e) for e in events] == [Gap, Snapshot, Update]


def test_channels_do_not_disturb_each_other():
    other = "epochs.crypto"
    subscription = Subscription(["epochs.*"])
    feed(subscription, snapshot(1), snapshot(7, other), update(2), update(8, other))
    assert subscription.position == {CH: 2, other: 8}
    assert json.loads(subscription.request())["resume"] == {CH: 2, other: 8}


def test_answers_that_are_no_events_pass_silently_and_errors_are_raised():
    subscription = Subscription([CH])
    frames = ['{"op":"subscribed","id":1,"channels":["epochs.sports"]}', '{"op":"pong"}', '{"op":"unsubscribed"}']
    assert feed(subscription, *frames) == []
    with pytest.raises(StreamError) as caught:
        feed(subscription, '{"op":"error","id":1,"code":"unknown_channel","message":"no"}')
    assert caught.value.code == "unknown_channel"
    for frame in ("", "[]", '{"op":"update"}', '{"op":"other"}', b"\xff", b'{"op":"\xff"}', '{"x":' + "[" * 100_000):
        with pytest.raises(DecodeError):
            feed(subscription, frame)


@pytest.mark.parametrize("channels", [[], "epochs.sports"])
def test_a_subscription_needs_a_list_of_channels(channels):
    with pytest.raises(StreamError, match="channels"):
        Subscription(channels)


@given(st.lists(st.tuples(st.sampled_from(["update", "snapshot"]), st.integers(1, 30)), max_size=40))
def test_every_number_after_the_first_is_given_or_announced(frames):
    """Whatever the server sends upwards, updates and gaps cover the numbers without overlap."""
    subscription, covered = Subscription([CH], {CH: 0}), 0
    for kind, seq in frames:
        if kind == "snapshot" and seq < covered:
            continue  # numbers that begin again are announced by the server
        for event in feed(subscription, update(seq) if kind == "update" else snapshot(seq)):
            if isinstance(event, Gap):
                assert event.from_seq == covered + 1
                covered = event.to_seq
            elif isinstance(event, Update):
                assert event.seq == covered + 1
                covered = event.seq
            else:
                assert event.seq == covered
    assert subscription.position[CH] == covered


# --- connections ----------------------------------------------------------------------------------------------------


class Script:
    """Connections that each deliver some frames and then break."""

    def __init__(self, *connections):
        self.connections = list(connections)
        self.requests = []

    def send(self, message):
        self.requests.append(json.loads(message))

    def recv(self):
        if not self.connections[0]:
            raise ConnectionClosedError(None, None)
        return self.connections[0].pop(0)

    @contextmanager
    def connect(self, url):
        try:
            yield self
        finally:
            self.connections.pop(0)

    @asynccontextmanager
    async def connect_async(self, url):
        class Socket:
            async def send(_, message):
                self.send(message)

            async def recv(_):
                return self.recv()

        with self.connect(url):
            yield Socket()


SCRIPT = ([snapshot(1), update(2)], [], [update(2), update(3)], [gap(4, 6), snapshot(6), update(7)])


def check(events, script):
    assert [type(e).__name__ for e in events] == ["Snapshot", "Update", "Update", "Gap", "Snapshot", "Update"]
    assert [r.get("resume") for r in script.requests] == [None, {CH: 2}, {CH: 2}, {CH: 3}]


def test_a_lost_connection_resumes_after_the_last_update():
    script = Script(*map(list, SCRIPT))
    stream = Client(connect=script.connect).stream([CH])
    check([next(stream) for _ in range(6)], script)


def test_who_asks_is_told_of_every_loss_and_may_end_the_stream():
    script, told = Script(*map(list, SCRIPT)), []
    stream = Client(connect=script.connect).stream([CH], on_retry=lambda error, delay: told.append((error, delay)))
    check([next(stream) for _ in range(6)], script)
    assert [type(error) for error, _ in told] == [ConnectionClosedError] * 3
    assert all(0 < delay <= 10 for _, delay in told)

    def enough(error, delay):
        raise TransportError("enough") from error

    stream = Client(connect=Script([snapshot(1)]).connect).stream([CH], on_retry=enough)
    next(stream)
    with pytest.raises(TransportError, match="enough"):
        next(stream)


async def test_an_asynchronous_stream_resumes_as_well():
    script = Script(*map(list, SCRIPT))
    stream = AsyncClient(connect=script.connect_async).stream([CH])
    check([await anext(stream) for _ in range(6)], script)


def test_a_stream_told_not_to_come_back_says_that_it_was_lost():
    script = Script([snapshot(1)])
    stream = Client(connect=script.connect).stream([CH], reconnect=False)
    assert next(stream).seq == 1
    with pytest.raises(TransportError):
        next(stream)


async def test_over_a_real_socket_a_killed_connection_resumes_and_both_clients_agree():
    asked = []

    async def handler(connection):
        request = json.loads(await connection.recv())
        asked.append(request)
        last = request.get("resume", {}).get(CH, 0)
        if not last:
            await connection.send(snapshot(0))
        for seq in range(last + 1, last + 4):
            await connection.send(update(seq))
        await connection.wait_closed() if last >= 6 else connection.transport.abort()

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}/ws"
        seen = []
        async for event in AsyncClient(stream_url=url).stream([CH]):
            seen += [event.seq] if isinstance(event, Update) else []
            if seen and seen[-1] == 8:
                break
        assert seen == list(range(1, 9))
        synchronous = []

        def consume():
            for event in Client(stream_url=url).stream([CH]):
                synchronous.extend([event.seq] if isinstance(event, Update) else [])
                if synchronous and synchronous[-1] == 8:
                    return

        thread = threading.Thread(target=consume)
        thread.start()
        await asyncio.to_thread(thread.join, 10)
        assert synchronous == seen


def test_a_server_that_is_not_there_is_named_when_coming_back_is_off():
    with pytest.raises(TransportError, match=r"127\.0\.0\.1:1"):
        next(Client(stream_url="ws://127.0.0.1:1/ws").stream([CH], reconnect=False))


async def test_a_refused_handshake_is_not_tried_for_ever():
    def refuse(connection, request):
        return connection.respond(403, "no")

    async with serve(lambda c: c.wait_closed(), "127.0.0.1", 0, process_request=refuse) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        with pytest.raises(TransportError, match="403"):
            await anext(AsyncClient(stream_url=url).stream([CH]))
