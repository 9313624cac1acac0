"""What the clock may name next is a set that every lane has: the control log beside the lanes themselves."""

import lanes_world as world
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from m0common.canonical import certificate_message
from m0common.errors import DeadLetterError
from m0common.messages import encode_raw, raw_event
from m0common.stream.core import Letter
from m0lanes.authority import signed
from m0lanes.control import CATALOG_SET, EPOCH_END, Certificate, EpochEndPayload, NextGeneration, SourceRule
from m0lanes.generations import SIGNER_SET_ID
from m0lanes.set_rules import SETS_MAX
from m0replay.control_log import ControlLog
from solders.keypair import Keypair

NAME = "coins"
NEW_KEY = Keypair.from_seed(bytes([9]) * 32)
_MESSAGE = certificate_message(world.GENESIS, bytes(world.CONTROL.pubkey()), bytes(NEW_KEY.pubkey()))
HANDED_ON = Certificate(
    bytes(world.CONTROL.pubkey()).hex(),
    bytes(NEW_KEY.pubkey()).hex(),
    bytes(world.CONTROL.sign_message(_MESSAGE)).hex(),
)
LARGE = tuple(sorted(f"g{n:03}{'x' * 60}" for n in range(1_000)))
SPELLED = b'"kind":"catalog\\u005fset"'

OTHER_CLOCK = {**world.sources(), "clock": SourceRule((EPOCH_END,), bytes(NEW_KEY.pubkey()).hex())}
CLOCKS = {bytes(key.pubkey()).hex(): key for key in (world.CLOCK, NEW_KEY)}

FLAWS = {
    "signer_set_id": {"params": {SIGNER_SET_ID: 99_999_999_999}},
    "negative_signer_set_id": {"params": {SIGNER_SET_ID: -1}},
    "epochs": {"epoch_ms": 2 * world.EPOCH_MS},
    "partitions": {"partitions": 8},
    "groups": {"groups": ("penny", "dime")},
    "large": {"groups": LARGE},
    "release": {"release": "0" * 64},
}
"""Fields that every lane refuses behind a generation as `lanes_world` has it."""
CHANGES = {**FLAWS, "handed_on": {"certificates": (HANDED_ON,)}, "clock": {"sources": OTHER_CLOCK}}
"""Some are refused only in some places."""


class Desk:
    """A control log and the lanes of stage 1 read the same records; markers name what the control log is ready for."""

    def __init__(self):
        self.log = world.World()
        self.control = ControlLog(world.DEPLOYMENT)
        self.core = world.HEART.normalize()
        self.epoch = world.FIRST
        self.letters = []

    def write(self, value, partitions):
        self.log.now_ms += 1
        for partition in sorted(partitions):
            record = self.log.raw(partition, value)
            self.control.take(record)
            self.letters += [out.error.error for out in self.core.feed(record) if isinstance(out, Letter)]

    def payload(self, ahead=1, **changes):
        now = self.control.in_force(NAME)
        return self.log.payload((0 if now is None else now.payload.generation) + ahead, **changes)

    def event(self, payload, key=world.CONTROL, group=""):
        said_ms = self.control.said_ms(NAME) + 1
        event = raw_event("control", "set", group, None, CATALOG_SET, said_ms, said_ms, payload)
        return signed(event, world.GENESIS, lambda message: bytes(key.sign_message(message)))

    def define(self, payload, key=world.CONTROL, partitions=range(world.PARTITIONS)):
        self.write(encode_raw(self.event(payload, key)), partitions)

    def mark(self):
        """Do as the clock does, and look whether the lanes follow."""
        now, following = self.control.in_force(NAME), self.control.ready(NAME)
        lanes = () if now is None else now.lanes
        targets = {*lanes, *(() if following is None else following.lanes)}
        if not targets:
            return None
        named = None if following is None else NextGeneration(following.payload.generation, following.hash.hex())
        self.epoch += 1
        judge = following if now is None or not now.lanes else now
        epoch_ms, clock = judge.payload.epoch_ms, CLOCKS[judge.payload.sources["clock"].key]
        start = self.epoch * epoch_ms
        generation = 0 if now is None else now.payload.generation
        payload = EpochEndPayload(NAME, self.epoch, start, start + epoch_ms, generation, lanes, named)
        event = raw_event("clock", f"{NAME}:{self.epoch}", "", None, EPOCH_END, start, start, payload)
        before = len(self.letters)
        value = encode_raw(signed(event, world.GENESIS, lambda message: bytes(clock.sign_message(message))))
        self.write(value, targets)
        assert len(self.letters) == before
        reports = {report.lane.partition: report for report in self.core.reports()}
        expected = generation if following is None else following.payload.generation
        assert [(p, reports[p].parked, reports[p].generation) for p in sorted(targets)] == [
            (p, None, expected) for p in sorted(targets)
        ]
        return None if following is None else following.payload

    def read_anew(self, sign):
        """Another control log, which reads one partition after the other, ascending or descending."""
        control = ControlLog(world.DEPLOYMENT)
        for record in sorted(self.log.records, key=lambda record: sign * record.partition):
            control.take(record)
        return control


def different(payload, nth):
    return msgspec.structs.replace(payload, params={**payload.params, "nth": nth})


groups = st.sampled_from([world.GROUPS, ("penny",), ("dime", "euro"), ("BTC/USD", "penny"), ()])
lanes = st.one_of(st.just(range(world.PARTITIONS)), st.sets(st.integers(0, world.PARTITIONS - 1)))
keys = st.sampled_from([world.CONTROL, world.CONTROL, world.CONTROL, NEW_KEY, world.STRANGER])
said = st.tuples(
    st.just("set"),
    st.integers(-1, 3),
    st.one_of(st.none(), st.none(), st.sampled_from(sorted(CHANGES))),
    groups,
    st.integers(0, 3),
    keys,
    lanes,
    st.sampled_from(["", "", "", "group", "spelled"]),
)
burst = st.tuples(st.just("burst"), st.integers(1, 3), groups, st.integers(1, SETS_MAX + 2), lanes)
steps = st.lists(st.one_of(said, said, burst, st.just(("mark",)), st.just(("mark",))), max_size=25)
GENERATION = ("set", 1, None, world.GROUPS, 0, world.CONTROL, range(world.PARTITIONS), "")
GENERATION_OF_ONE = ("set", 1, None, ("penny",), *GENERATION[4:])


def take(desk, step):
    if step[0] == "mark":
        desk.mark()
    elif step[0] == "burst":
        _, ahead, names, count, where = step
        for nth in range(count):
            desk.define(different(desk.payload(ahead, groups=tuple(sorted(names))), 100 + nth), partitions=where)
    else:
        _, ahead, flaw, names, nth, key, where, form = step
        changes = {"groups": tuple(sorted(names)), **CHANGES.get(flaw, {})}
        payload = different(desk.payload(1, **changes), nth)
        payload = msgspec.structs.replace(payload, generation=max(1, payload.generation - 1 + ahead))
        value = encode_raw(desk.event(payload, key, group="penny" if form == "group" else ""))
        desk.write(value.replace(b'"kind":"catalog_set"', SPELLED) if form == "spelled" else value, where)


@settings(max_examples=1_000 if world.SOAK else 40)
@given(steps)
@example([GENERATION, ("mark",), ("burst", 1, world.GROUPS, SETS_MAX + 2, range(world.PARTITIONS)), ("mark",)])
@example([GENERATION, ("mark",), ("set", 1, "signer_set_id", *GENERATION[3:]), ("mark",), GENERATION, ("mark",)])
@example([GENERATION_OF_ONE, ("mark",), GENERATION, ("mark",), GENERATION_OF_ONE, ("mark",)])
@example([("set", 1, "handed_on", world.GROUPS, 0, NEW_KEY, *GENERATION[6:]), ("mark",), GENERATION, ("mark",)])
def test_whatever_the_clock_may_name_next_every_lane_has(steps):
    desk = Desk()
    for step in [*steps, ("mark",)]:
        if step[0] == "mark":  # what it will name is what another one, that reads the log anew, would name
            found = desk.control.ready(NAME)
            for again in (desk.read_anew(1).ready(NAME), desk.read_anew(-1).ready(NAME)):
                assert (found and found.hash) == (again and again.hash)
        take(desk, step)


@pytest.mark.parametrize("flaw", sorted(FLAWS))
def test_a_set_that_lanes_refuse_is_never_named_and_the_next_good_one_is(flaw):
    desk = Desk()
    desk.define(desk.payload())
    assert desk.mark().generation == 1
    desk.define(desk.payload(**FLAWS[flaw]))
    assert desk.mark() is None
    good = desk.payload(horizon_ms=60_000)
    desk.define(good)
    assert desk.mark() == good


@pytest.mark.parametrize("flaw", sorted(FLAWS))
def test_what_lanes_refuse_is_told_before_it_is_written_in_their_words(flaw):
    desk = Desk()
    desk.define(desk.payload())
    desk.mark()
    refused = desk.event(desk.payload(**FLAWS[flaw]))
    with pytest.raises(DeadLetterError) as told:
        desk.control.check(refused, desk.control.in_force(NAME).lanes)
    before = len(desk.letters)
    desk.write(encode_raw(refused), desk.control.in_force(NAME).lanes)
    assert set(desk.letters[before:]) == {told.value.error}


def test_a_new_clock_and_a_new_lane_in_one_set_are_never_named():
    desk = Desk()
    desk.define(desk.payload(groups=("penny",)))
    desk.mark()
    desk.define(desk.payload(sources=OTHER_CLOCK))
    assert desk.mark() is None
    rekeyed = desk.payload(groups=("penny",), sources=OTHER_CLOCK)
    desk.define(rekeyed)
    assert desk.mark() == rekeyed


def test_of_more_sets_than_a_lane_takes_the_last_one_that_it_took_is_named():
    desk = Desk()
    desk.define(desk.payload())
    desk.mark()
    sets = [different(desk.payload(), nth) for nth in range(SETS_MAX + 2)]
    for payload in sets:
        desk.define(payload)
    with pytest.raises(DeadLetterError, match=r"16 sets of coins/\d wait to take force, .*: say one of them again"):
        desk.control.check(desk.event(sets[-1]), desk.control.in_force(NAME).lanes)
    desk.control.check(desk.event(sets[0]), desk.control.in_force(NAME).lanes)
    assert desk.mark() == sets[SETS_MAX - 1]
    follower = desk.payload()
    desk.define(follower)
    assert desk.mark() == follower


def test_a_set_that_is_said_again_counts_once_and_comes_to_be_the_last():
    desk = Desk()
    sets = [different(desk.payload(), nth) for nth in range(SETS_MAX)]
    for payload in [*sets, sets[3]]:
        desk.define(payload)
    assert desk.mark() == sets[3]


def test_a_lane_that_lacks_what_a_marker_named_takes_it_however_many_wait():
    desk = Desk()
    desk.define(desk.payload())
    desk.mark()
    lanes = desk.control.in_force(NAME).lanes
    sets = [different(desk.payload(), nth) for nth in range(SETS_MAX + 1)]
    for payload in sets[:-1]:
        desk.define(payload, partitions=lanes[:1])
    desk.define(sets[-1], partitions=lanes[1:])
    named = desk.log
    named.in_force, named.sets[1] = 1, (desk.control.in_force(NAME).payload, b"")
    named.define(2, params=sets[-1].params, partitions=())
    desk.write(named.marker(desk.epoch + 1, following=2), lanes)
    first = next(report for report in desk.core.reports() if report.lane.partition == lanes[0])
    assert "names generation 2, not read here" in first.parked
    desk.define(sets[-1], partitions=lanes[:1])
    assert [report.parked for report in desk.core.reports()] == [None] * len(lanes)
    follower = desk.payload()
    assert follower.generation == 3
    desk.define(follower)
    assert desk.control.ready(NAME).payload == follower


def test_a_marker_whose_kind_is_spelled_with_escapes_is_one_as_it_is_to_the_lanes():
    desk = Desk()
    desk.define(desk.payload())
    desk.log.define(1, partitions=())
    plain = desk.log.marker(desk.epoch, following=1)
    spelled = plain.replace(b'"kind":"epoch_end"', b'"kind":"epoch\\u005fend"')
    assert spelled != plain
    desk.write(spelled, desk.control.ready(NAME).lanes)
    assert {report.generation for report in desk.core.reports()} == {1}
    assert desk.control.in_force(NAME).payload == desk.log.payload(1)
