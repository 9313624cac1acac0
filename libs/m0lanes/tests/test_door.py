"""The door: whatever is written to the raw log costs at most one dead letter, and nothing else of the log changes."""

import json
import random

import lanes_world as world
import msgspec
import pytest
from lanes_first import First
from lanes_fleet import Fleet
from lanes_noise import BIN, BROKEN, Noise
from m0common.errors import DeadLetterError
from m0common.messages import RawEvent, encode_raw, raw_event
from m0common.stream.deadletters import dead_letter
from m0common.topics import RAW
from m0lanes.control import PAYLOADS, RebasePayload
from m0lanes.door import DEPTH_MAX, PARTS_MAX, brackets_of, decode_event, decode_payload, is_too_deep
from m0lanes.pipeline import Pipeline

FIRST, EPOCH, START = world.FIRST, world.EPOCH_MS, world.BASE_MS
GOOD = ("BTC/USD", "dime", "euro", "penny")
EVENTS = 50_000 if world.SOAK else 3_000
ERRORS = {
    "domain_raised",
    "empty",
    "invalid_event",
    "invalid_payload",
    "no_source_seq",
    "not_json",
    "refused",
    "too_deep",
    "too_large",
    "unknown_kind",
    "unknown_lane",
    "unlisted_source",
    "wrong_catalog",
    "wrong_partition",
    "wrong_signature",
}
"""Every way in which the noise is refused; a door that refuses in fewer is not tried in full."""


def log_of(events: int, seed: int, epochs: int = 5) -> world.World:
    """Two catalogs with group BIN in common, an ordinary log of both, and so many events of noise in between."""
    coins = world.World(groups=(*GOOD, BIN))
    notes = world.World("notes", groups=(BIN,), beside=coins)
    noise, rng = Noise(random.Random(seed), coins), random.Random(7)
    for log in (coins, notes):
        log.begin()
    coins.open(BIN, "BIN_0", START)
    coins.open(BIN, "BIN_1", START, outcomes=("weird", "weirder"))
    coins.open(BIN, "BIN_2", START, breaks="features")
    for index in range(epochs):
        start = START + index * EPOCH
        for log in (coins, notes):
            log.now_ms = start
        for number, group in enumerate(GOOD):
            coins.open(group, f"COIN_{number}_{index}", start)
        for step in range(10):
            coins.now_ms = start + step * 1_900
            coins.toss(rng.choice(GOOD), rng.random() < 0.6, coins.now_ms + rng.randrange(-9_000, 30_000))
            for _ in range(events // (10 * epochs)):
                coins.raw(*noise.next())
        if index:
            coins.close(GOOD[0], f"COIN_0_{index - 1}", start + 500)
        for log in (coins, notes):
            log.end(FIRST + index)
    return coins


def good(closed) -> dict:
    """The leaves of what the noise is not about."""
    found = {epoch.header.epoch_id: {} for epoch in closed if epoch.header.catalog == "coins"}
    for epoch_id, leaves in world.leaves([e for e in closed if e.header.catalog == "coins"]).items():
        found[epoch_id] = {market: leaf for market, leaf in leaves.items() if not market.startswith("BIN")}
    return found


def epochs(places) -> dict[str, list[int]]:
    return {name: sorted(epoch for catalog, epoch in places if catalog == name) for name in ("coins", "notes")}


def test_any_bytes_cost_at_most_one_letter_and_change_nothing_else():
    log, plain = log_of(EVENTS, seed=1), log_of(0, seed=1)
    pipeline = Pipeline(world.HEART)
    closed = world.play(log.records, pipeline)
    assert good(closed) == good(world.play(plain.records))
    assert epochs(world.headers(closed)) == {name: [FIRST + n for n in range(5)] for name in ("coins", "notes")}
    assert [report for core in pipeline.cores for report in core.reports() if report.parked] == []
    assert {stage for stage, _ in pipeline.letters} == {"normalize"}
    places = [(letter.record.partition, letter.record.offset) for _, letter in pipeline.letters]
    assert len(places) == len(set(places)) > EVENTS // 3
    assert {letter.error.error for _, letter in pipeline.letters} >= ERRORS
    for _, letter in pipeline.letters:
        assert len(dead_letter("normalize", letter.record, letter.error).value) < 8_192
    odd = {
        market: leaf
        for market, leaf in world.leaves([closed[-1], closed[-2]])[FIRST + 4].items()
        if market in ("BIN_1", "BIN_2")
    }
    assert all(outcomes == () for outcomes, _ in odd.values())


@pytest.mark.parametrize("seed", range(2 if not world.SOAK else 10))
def test_a_fleet_that_dies_at_any_moment_says_one_letter_for_a_record(seed: int):
    log = log_of(2_000 if world.SOAK else 300, seed=10 + seed, epochs=4)
    pipeline = Pipeline(world.HEART)
    closed = world.play(log.records, pipeline)
    fleet = Fleet(world.HEART, seed, dies=0.02, copies=1 + seed % 2)
    fleet.write(log.records)
    fleet.run_until_idle(200_000)
    assert fleet.topics.headers() == world.headers(closed)
    assert sum(instance.restarts for instance in fleet.instances) > 5
    assert fleet.parked() == []
    expected = {
        (RAW.name, letter.record.partition, letter.record.offset): (letter.error.error, letter.error.reason)
        for _, letter in pipeline.letters
    }
    assert fleet.topics.letters == expected


def test_what_is_read_again_for_what_is_held_costs_no_letter_again():
    log = world.World()
    log.begin()
    log.open("penny", "COIN", START)
    log.toss("penny", True, START + 2 * EPOCH)  # held: reading begins here again
    penny = world.partition_of("penny", world.PARTITIONS)
    for _ in range(10):
        log.raw(penny, b"no event")
    log.toss("penny", True, START + 1)
    first = First(world.HEART, log.records)
    assert len(first.letters) == 10
    core = world.HEART.normalize()
    written = first.topics.log(RAW.name, penny)
    start = core.resume(penny, first.topics.newest(core, penny), 0, len(written))
    assert start < len(written) - 10
    assert [output for record in written[start:] for output in core.feed(record)] == []


@pytest.mark.parametrize("seed", range(1 if not world.SOAK else 10))
def test_restarted_behind_any_record_the_door_says_the_same(seed: int):
    log = log_of(300, seed=100 + seed, epochs=3)
    assert First(world.HEART, log.records).check_every_restart(step=5) > 30


def test_the_log_goes_on_behind_a_thousand_bad_values_in_a_row():
    log = log_of(0, seed=1)
    noise = Noise(random.Random(3), log)
    for _ in range(1_000):
        log.raw(*noise.next())
    log.end(FIRST + 5)
    closed = world.play(log.records)
    assert FIRST + 5 in good(closed)


def too_deep(value: bytes) -> bool:
    return is_too_deep(brackets_of(value))


def test_depth_is_bounded_far_from_where_an_interpreter_gives_up():
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        inside = opening * DEPTH_MAX + "1" + closing * DEPTH_MAX
        assert not too_deep(inside.encode())
        assert too_deep((opening + inside + closing).encode())
    assert not too_deep(b'["' + b"[" * 5_000 + b'"]')
    assert not too_deep(b'["\\"' + b"[" * 5_000 + b'"]')
    assert not too_deep(b"[" + b"[1]," * 5_000 + b"[1]]")


def test_a_value_of_more_parts_than_anything_has_costs_a_letter_and_little_time():
    event = b'{"source":"table","payload":[' + b",".join([b"[]"] * PARTS_MAX) + b"]}"
    with pytest.raises(DeadLetterError, match=f"more than {PARTS_MAX} arrays and objects") as caught:
        decode_event(event)
    assert caught.value.error == "too_large"
    with pytest.raises(DeadLetterError, match="Object missing required field"):
        decode_event(event.replace(b"[],[],", b"", 1))


def test_the_verdict_on_depth_does_not_depend_on_who_asks():
    value = b'{"source":"a","more":' + b"[" * 700 + b"]" * 700 + b"}"

    def asked_at(depth: int) -> str:
        if depth:
            return asked_at(depth - 1)
        with pytest.raises(DeadLetterError) as caught:
            decode_event(value)
        return str(caught.value)

    assert asked_at(0) == asked_at(600)


LENGTHS = (33, 65, 256, 257)
CHARACTERS = (" ", "~", "x\n", "\x1f", "\x7f", "\ud800")
TEXTS = ("table", "", "two words", *("a" * n for n in LENGTHS), "Käse", "UPPER", *CHARACTERS, 7, None, "missing")
"""Good and bad in one field or another; the last leaves it out."""


def decoded(decode, value: bytes):
    """The fields of an event, or why it is none."""
    try:
        return msgspec.structs.asdict(decode(value))
    except DeadLetterError as error:
        return error.reason
    except msgspec.DecodeError as error:
        return str(error)


@pytest.mark.parametrize("field", ["source", "source_event_id", "group", "market_id", "kind", "signature"])
def test_an_event_is_taken_as_its_type_says_and_refused_in_the_words_of_its_type(field):
    by_type = msgspec.json.Decoder(RawEvent).decode
    good = json.loads(encode_raw(raw_event("table", "1", "penny", "COIN", "toss", START, START, {"heads": True}, 1)))
    for text in (*TEXTS, *TEXTS):
        changed = {key: value for key, value in (good | {field: text}).items() if (key, value) != (field, "missing")}
        value = json.dumps(changed).encode()
        expected = decoded(by_type, value)
        assert decoded(decode_event, value) == expected


def one_event(group=BIN, **more):
    log = world.World(groups=(*GOOD, BIN))
    log.begin()
    log.open(group, "COIN", START)
    log.event(group, "toss", {"heads": True}, START + 1, **more)
    log.end(FIRST)
    pipeline = Pipeline(world.HEART)
    closed = world.play(log.records, pipeline)
    return closed, pipeline


def test_a_record_in_a_wrong_partition_is_told_the_right_one():
    _, pipeline = one_event(partition=(world.partition_of(BIN, world.PARTITIONS) + 1) % world.PARTITIONS)
    ((_, letter),) = pipeline.letters
    right = world.partition_of(BIN, world.PARTITIONS)
    assert letter.error.error == "wrong_partition"
    assert f"group 'bin/it' lives in partition {right}" in letter.error.reason


def test_groups_with_slashes_are_groups_like_others_restarted_too():
    log = world.World(groups=("BTC/USD", BIN, "uefa/cl"))
    log.begin()
    for number, group in enumerate(log.groups):
        log.open(group, f"M{number}", START)
        log.toss(group, True, START + 1)
    log.end(FIRST)
    closed = world.play(log.records)
    assert {p for p, _ in world.leaves(closed)[FIRST].values()} == {(666_666_666, 333_333_334)}
    First(world.HEART, log.records).check_every_restart()


def test_a_chatty_source_of_a_closed_market_is_ordinary():
    log = world.World()
    log.begin()
    for second in range(2_000):
        log.toss("penny", True, START + second, "CLOSED")
    log.end(FIRST)
    pipeline = Pipeline(world.HEART)
    closed = world.play(log.records, pipeline)
    assert pipeline.letters == []
    assert pipeline.cores[0].drops == {("table", "market_not_open"): 2_000}
    assert [epoch.header.epoch_id for epoch in closed] == [FIRST]


def test_what_the_registry_alone_may_say_nobody_else_says():
    log = world.World()
    log.begin()
    log.event("penny", "market_open", {"catalog": "coins"}, START, "MINE", source="table")
    log.event("penny", "market_open", {"catalog": "coins"}, START, "MINE", source="registry")
    log.event("penny", "market_open", {"catalog": "coins"}, START, "MINE", source="registry", key=world.CLOCK)
    log.end(FIRST)
    pipeline = Pipeline(world.HEART)
    closed = world.play(log.records, pipeline)
    assert [letter.error.error for _, letter in pipeline.letters] == [
        "unlisted_source",
        "wrong_signature",
        "wrong_signature",
    ]
    assert world.leaves(closed) == {FIRST: {}}


def test_an_event_about_a_market_of_another_group_is_a_letter():
    log = world.World()
    log.begin()
    log.open("penny", "COIN", START)
    same = next(g for g in ("dime", "euro") if world.partition_of(g, 4) == world.partition_of("penny", 4))
    log.toss(same, True, START + 1, "COIN")
    log.end(FIRST)
    pipeline = Pipeline(world.HEART)
    world.play(log.records, pipeline)
    ((_, letter),) = pipeline.letters
    assert letter.error.error == "wrong_group"


@pytest.mark.parametrize("how", [how for how in BROKEN if how])
def test_what_a_domain_does_wrong_costs_a_letter_and_leaves_its_state(how: str):
    found = []
    for breaks in (False, True):
        log = world.World()
        log.begin()
        log.open("penny", "COIN", START)
        log.toss("penny", True, START + 1)
        if breaks:
            log.event("penny", "broken", {"how": how}, START + 2, seq=77)
        log.toss("penny", False, START + 3)
        log.end(FIRST)
        pipeline = Pipeline(world.HEART)
        closed = world.play(log.records, pipeline)
        assert [letter.error.error in ("domain_raised", "refused") for _, letter in pipeline.letters] == [True] * breaks
        found.append([lane.stage_digests for epoch in closed for lane in epoch.header.lanes])
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["catalog_set", "rebase"])
def test_a_release_of_zeros_is_none_and_nothing_can_be_given_to_it(kind: str):
    zeros = "0" * 64
    said = world.World().payload(1) if kind == "catalog_set" else RebasePayload("coins", 0, 1, 0, "", (zeros,) * 3, 0)
    for release in ("0" * 63 + "1", "1" + "0" * 63):
        event = raw_event("control", "x", "", None, kind, 1, 1, msgspec.structs.replace(said, release=release))
        assert decode_payload(event, PAYLOADS).release == release
    event = raw_event("control", "x", "", None, kind, 1, 1, msgspec.structs.replace(said, release=zeros))
    with pytest.raises(DeadLetterError, match=r"invalid_payload: .*`\$\.release`"):
        decode_payload(event, PAYLOADS)
