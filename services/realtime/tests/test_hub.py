"""The hub without sockets: what a listener is sent makes up the channel, whatever it does and when."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from m0_realtime import channel as channel_module
from m0_realtime import limits, protocol
from m0_realtime.hub import Hub
from m0_realtime.names import ANY, Kind, Name, parse
from m0_realtime.protocol import BadRequest
from m0common.errors import InvalidValue
from websockets.frames import Frame, Opcode

NAMES = [Name(Kind.EPOCHS, c) for c in ("sports", "crypto")] + [Name(Kind.MARKET, "M")]


def unwire(data):
    """The payloads of a run of unmasked text frames."""
    payloads = []
    while data:
        assert data[0] == 0x81
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4]), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10]), 10
        payloads.append(json.loads(data[start : start + length]))
        data = data[start + length :]
    return payloads


class Ear:
    """A listener that keeps what it hears and follows channels as a client does."""

    def __init__(self):
        self.frames = []
        self.writes = 0
        self.position = {}
        self.items = {}
        self.gap = {}

    def write(self, frames):
        self.writes += 1
        for frame in unwire(frames):
            self.frames.append(frame)
            self.follow(frame)

    write_burst = write

    def follow(self, frame):
        channel, op = frame.get("channel"), frame["op"]
        if op == "snapshot":
            if channel in self.gap:
                assert frame["seq"] == self.gap.pop(channel)
            self.position[channel] = frame["seq"]
            self.items[channel] = {item["key"]: item for item in frame["data"]}
        elif op == "update":
            assert channel not in self.gap
            assert frame["seq"] == self.position[channel] + 1
            self.position[channel] = frame["seq"]
            self.items[channel][frame["data"]["key"]] = frame["data"]
        elif op == "gap":
            assert frame["from"] == self.position[channel] + 1
            self.gap[channel] = frame["to"]


class HubMachine(RuleBasedStateMachine):
    """Clients come, go, resume and listen to patterns while updates are published and flushed at odd moments."""

    @initialize()
    def start(self):
        self.scheduled = 0
        self.hub = Hub(self.schedule)
        self.ears = []
        self.away = []
        self.count = 0

    def schedule(self):
        self.scheduled += 1

    @rule(name=st.sampled_from(NAMES), key=st.sampled_from("abc"), times=st.integers(1, 3))
    def publish(self, name, key, times):
        for _ in range(times):
            self.count += 1
            data = json.dumps({"key": key, "value": self.count}).encode()
            self.hub.publish(name, key, data, self.count)

    @rule()
    def flush(self):
        self.hub.flush()

    @rule(names=st.lists(st.sampled_from([*map(str, NAMES), "epochs.*"]), min_size=1, max_size=3))
    def arrive(self, names):
        ear = Ear()
        self.hub.subscribe(ear, 1, names, {})
        self.ears.append((ear, set(names)))

    @rule(index=st.integers(0, 5))
    def leave(self, index):
        if index < len(self.ears):
            ear, names = self.ears.pop(index)
            self.hub.forget(ear)
            self.away.append((ear, names))

    @rule(index=st.integers(0, 5))
    def come_back(self, index):
        if index < len(self.away):
            ear, names = self.away.pop(index)
            self.hub.subscribe(ear, 2, sorted(names), ear.position)
            self.ears.append((ear, names))

    @rule(index=st.integers(0, 5), name=st.sampled_from([*map(str, NAMES), "epochs.*"]))
    def unsubscribe(self, index, name):
        if index < len(self.ears):
            ear, names = self.ears[index]
            self.hub.unsubscribe(ear, 3, [name])
            names.discard(name)
            if not names:
                self.hub.forget(self.ears.pop(index)[0])

    @rule()
    def every_listener_has_the_state_of_its_channels_after_a_flush(self):
        self.hub.flush()
        for ear, names in self.ears:
            for name, channel in self.hub._channels.items():
                if str(name) in names or f"{name.kind}.*" in names:
                    assert ear.position[channel.text] == channel.seq
                    expected = {k: json.loads(v) for k, v in channel.state.items()}
                    assert ear.items[channel.text] == expected


TestHub = HubMachine.TestCase
TestHub.settings = hypothesis_settings(max_examples=60, stateful_step_count=30)


def publish(hub, count, name=NAMES[0]):
    for i in range(count):
        hub.publish(name, str(i), json.dumps({"key": str(i)}).encode(), i)


def test_a_tick_is_one_write_however_many_updates_it_holds():
    scheduled = []
    hub, ear = Hub(lambda: scheduled.append(1)), Ear()
    hub.subscribe(ear, 1, ["epochs.*", "market.M"], {})
    publish(hub, 1)
    hub.flush()
    before = ear.writes
    publish(hub, 50)
    publish(hub, 50, NAMES[2])
    assert len(scheduled) == 2
    hub.flush()
    assert ear.writes == before + 1
    hub.flush()
    assert ear.writes == before + 1


def test_nothing_is_scheduled_while_nobody_listens():
    scheduled = []
    hub = Hub(lambda: scheduled.append(1))
    publish(hub, 10)
    assert not scheduled


@pytest.mark.parametrize("missed", range(12))
def test_a_resume_is_the_missed_updates_or_a_gap_and_a_snapshot(missed, monkeypatch):
    monkeypatch.setitem(channel_module.RINGS, Kind.EPOCHS, 8)
    hub, ear = Hub(lambda: None), Ear()
    publish(hub, 20)
    ear.position["epochs.sports"] = 20 - missed
    ear.items["epochs.sports"] = {}
    hub.subscribe(ear, 1, ["epochs.sports"], {"epochs.sports": 20 - missed})
    ops = [frame["op"] for frame in ear.frames]
    assert ops == ["subscribed"] + (["update"] * missed if missed <= 8 else ["gap", "snapshot"])
    assert ear.position["epochs.sports"] == 20


def test_event_channels_show_the_newest_first_and_only_so_many(monkeypatch):
    monkeypatch.setitem(channel_module.SNAPSHOTS, Kind.EPOCHS, 3)
    hub, ear = Hub(lambda: None), Ear()
    publish(hub, 5)
    hub.subscribe(ear, 1, ["epochs.sports"], {})
    assert [item["key"] for item in ear.frames[1]["data"]] == ["4", "3", "2"]


def test_who_waits_for_a_channel_that_begins_late_is_told_of_the_gap():
    hub, ear = Hub(lambda: None), Ear()
    hub.subscribe(ear, 1, ["market.M"], {})
    hub.publish(NAMES[2], "M", b'{"key":"M"}', 1, base=40)
    hub.flush()
    assert [f["op"] for f in ear.frames] == ["subscribed", "snapshot", "gap", "snapshot", "update"]
    assert (ear.frames[2]["to"], ear.position["market.M"]) == (40, 41)


def test_a_client_may_hold_so_many_channels_and_no_more(monkeypatch):
    monkeypatch.setattr(limits, "MAX_CHANNELS_PER_CLIENT", 3)
    hub, ear = Hub(lambda: None), Ear()
    hub.subscribe(ear, 1, ["market.A", "market.B", "market.B"], {})
    hub.subscribe(ear, 1, ["market.A", "market.C"], {})
    with pytest.raises(BadRequest) as caught:
        hub.subscribe(ear, 9, ["market.D"], {})
    assert (caught.value.code, caught.value.request_id) == ("too_many_channels", 9)
    hub.unsubscribe(ear, 1, ["market.A"])
    hub.subscribe(ear, 1, ["market.D"], {})
    assert hub.subscriptions == 3


def test_nothing_is_kept_of_those_who_left():
    hub, ear = Hub(lambda: None), Ear()
    hub.subscribe(ear, 1, ["epochs.*", "market.M", "predictions.sports"], {})
    publish(hub, 1)
    hub.forget(ear)
    hub.forget(ear)
    assert (hub._listeners, hub._held, hub.subscriptions) == ({}, {}, 0)


@pytest.mark.parametrize("text", ["predictions.sports", "provisional.a-b_0", "epochs.*", "market.EPL_2016", "alerts"])
def test_a_channel_name_reads_back(text):
    assert str(parse(text)) == text
    assert parse(text).is_pattern == text.endswith(ANY)


@given(st.text(max_size=40))
def test_any_other_text_is_refused_by_name(text):
    name, refused = None, None
    try:
        name = parse(text)
    except InvalidValue as error:
        refused = error
    assert str(name) == text or str(refused).startswith("channel")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_frames_are_framed_as_the_library_would(size):
    payload = b"x" * size
    assert protocol.wire(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=50)))
def test_any_message_is_a_request_or_refused_with_a_code(message):
    refused = None
    try:
        protocol.read(message)
    except BadRequest as error:
        refused = error
    assert refused is None or (
        refused.code in {"binary_frame", "bad_json", "bad_request", "unknown_op"} and refused.message
    )
