"""What the log says of catalogs."""

import gc
import tracemalloc

import pytest
from control_world import (
    CONTROL,
    DEPLOYMENT,
    GENESIS,
    OTHER,
    Log,
    a_marker,
    a_set,
    hash_of,
    marker_value,
    set_value,
    sign_with,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.canonical import certificate_message
from m0common.cursors import IN_FORCE, InForce, cursor
from m0common.messages import encode_raw, raw_event
from m0common.stream.records import Record
from m0lanes.control import EPOCH_END, Certificate, SourceRule
from m0replay.control_log import ControlLog
from msgspec.structs import replace


def read(log):
    return log.read_by(ControlLog(DEPLOYMENT))


FIRST = a_set(1)
SECOND = a_set(2, lanes=(3, 5))


def begun():
    """A log in which the first generation is in force since epoch 7."""
    return Log().write(set_value(FIRST), 3).write(marker_value(a_marker(7, 0, (), FIRST)), 3)


def test_a_set_has_no_effect_before_a_marker_names_it():
    said = read(Log().write(set_value(FIRST), 3))
    assert said.catalogs() == ["sports"]
    assert said.in_force("sports") is None
    assert said.newest("sports") is None
    assert said.ready("sports").payload == FIRST


def test_the_first_marker_puts_the_first_set_in_force():
    said = read(begun())
    assert said.in_force("sports").payload == FIRST
    assert said.in_force("sports").hash == hash_of(FIRST)
    assert said.in_force("sports").lanes == (3,)
    assert said.ready("sports") is None
    newest = said.newest("sports")
    assert (newest.payload.epoch_id, newest.targets, newest.missing) == (7, (3,), ())
    assert said.open_end("sports", 3) == 8 * 20_000
    assert said.open_end("sports", 4) is None


def test_the_course_of_a_catalog_is_what_was_in_force_and_what_is_ready():
    log = begun()
    assert read(log).course("sports") == [FIRST]
    log.write(set_value(SECOND), 3).write(set_value(SECOND), 5)
    assert read(log).course("sports") == [FIRST, SECOND]
    log.write(marker_value(a_marker(8, 1, (3,), SECOND)), 3, 5)
    assert read(log).course("sports") == [FIRST, SECOND]
    assert read(log).course("x") == []


def test_an_unknown_catalog_has_nothing():
    said = read(begun())
    assert (said.in_force("x"), said.ready("x"), said.newest("x"), said.waiting("x")) == (None, None, None, [])
    assert (said.open_end("x", 0), said.fading("x", 1)) == (None, ())


def test_a_next_set_is_ready_only_when_every_lane_of_the_old_and_the_new_has_it():
    log = begun().write(set_value(SECOND), 5)
    said = read(log)
    assert said.ready("sports") is None
    assert [(d.payload, lanes) for d, lanes in said.waiting("sports")] == [(SECOND, (3,))]
    said = read(log.write(set_value(SECOND), 3))
    assert said.ready("sports").payload == SECOND
    assert said.waiting("sports") == []


def test_a_set_that_drops_a_group_must_reach_the_lane_that_ends():
    smaller = a_set(3, lanes=(5,))
    log = begun().write(set_value(SECOND), 3, 5).write(marker_value(a_marker(8, 1, (3,), SECOND)), 3, 5)
    assert read(log.write(set_value(smaller), 5)).ready("sports") is None
    assert read(log.write(set_value(smaller), 3)).ready("sports").payload == smaller


def test_a_marker_belongs_into_the_lanes_of_both_generations_and_misses_what_lacks_it():
    log = begun().write(set_value(SECOND), 3, 5).write(marker_value(a_marker(8, 1, (3,), SECOND)), 3)
    newest = read(log).newest("sports")
    assert (newest.targets, newest.missing) == ((3, 5), (5,))
    assert newest.value == marker_value(a_marker(8, 1, (3,), SECOND))
    assert read(log).in_force("sports").payload == SECOND
    assert read(log).in_force_everywhere("sports").payload == FIRST
    log.write(marker_value(a_marker(8, 1, (3,), SECOND)), 5)
    assert read(log).in_force_everywhere("sports").payload == SECOND
    assert read(log).in_force_everywhere("x") is None


def test_the_first_set_is_in_force_everywhere_when_every_lane_has_its_marker():
    first = a_set(1, lanes=(3, 5))
    log = Log().write(set_value(first), 3, 5).write(marker_value(a_marker(7, 0, (), first)), 3)
    assert read(log).in_force_everywhere("sports") is None
    assert read(log.write(marker_value(a_marker(7, 0, (), first)), 5)).in_force_everywhere("sports").payload == first


def test_only_the_very_next_generation_can_be_ready():
    assert read(begun().write(set_value(a_set(3)), 3)).ready("sports") is None
    assert read(begun().write(set_value(a_set(1, horizon_ms=5_000)), 3)).ready("sports") is None
    assert read(Log().write(set_value(a_set(2)), 3)).ready("sports") is None


def test_of_several_next_sets_the_one_said_last_is_ready():
    mistake, mended = a_set(2, lanes=(3, 5)), a_set(2, lanes=(3, 5), horizon_ms=5_000)
    first, second = set_value(mistake, said_ms=1_000), set_value(mended, said_ms=2_000)
    log = begun().write(first, 3).write(second, 3, 5)
    assert read(log).ready("sports").payload == mended
    # a stranger's copies, where it was said before and where it was not, with what no signature covers made new
    unsigned = first.replace(b'"received_ms":1000', b'"received_ms":9000')
    assert unsigned != first
    log.write(first, 3, 5).write(unsigned, 3, 5)
    assert read(log).ready("sports").payload == mended
    assert read(log).said_ms("sports") == 2_000
    log.write(set_value(mistake, said_ms=3_000), 3, 5)
    assert read(log).ready("sports").payload == mistake


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_which_set_was_said_last_does_not_depend_on_where_and_when_its_records_stand(random):
    values = [set_value(a_set(2, horizon_ms=1_000 + n), said_ms=1_000 + n) for n in range(3)]
    log = begun()
    for value in random.sample(values * 3, 9):
        log.write(value, 3)
    assert read(log).ready("sports").payload.horizon_ms == 1_002


def test_another_epoch_length_is_never_ready():
    assert read(begun().write(set_value(a_set(2, epoch_ms=60_000)), 3)).ready("sports") is None


@pytest.mark.parametrize("payload", [a_set(retired=True), a_set(groups=())])
def test_a_set_without_a_lane_cannot_begin_a_catalog(payload):
    assert read(Log().write(set_value(payload), 3)).ready("sports") is None


def test_a_retired_catalog_has_no_lanes_and_can_be_opened_again():
    retired, again = a_set(2, retired=True), a_set(3)
    log = begun().write(set_value(retired), 3)
    assert read(log).ready("sports").payload == retired
    log.write(marker_value(a_marker(8, 1, (3,), retired)), 3)
    said = read(log)
    assert (said.in_force("sports").payload.retired, said.in_force("sports").lanes) == (True, ())
    log.write(set_value(again), 3).write(marker_value(a_marker(900, 2, (), again)), 3)
    assert read(log).in_force("sports").payload == again


@pytest.mark.parametrize(
    "value",
    [
        set_value(a_set(), key=OTHER),
        set_value(a_set(partitions=4)),
        set_value(a_set(groups=("b", "a"))),
        set_value(a_set()).replace(b'"sports"', b'"crypto"'),
        set_value(a_set()).replace(b'"group":""', b'"group":"x"'),
        set_value(a_set())[:-1],
        b'{"catalog_set"',
        b"\xff catalog_set",
        b"",
        b'{"kind":"epoch_end"}',
        marker_value(a_marker(7, 0, (), FIRST)).replace(b'"signature":"', b'"signature":"00'),
    ],
)
def test_what_is_not_signed_or_not_of_this_deployment_is_passed_over(value):
    said = read(Log().write(value, 3))
    assert said.catalogs() == []


def certified(generation=1, old=CONTROL, new=OTHER, signature=None):
    message = certificate_message(GENESIS, bytes(old.pubkey()), bytes(new.pubkey()))
    proof = signature or sign_with(old)(message).hex()
    certificate = Certificate(bytes(old.pubkey()).hex(), bytes(new.pubkey()).hex(), proof)
    return a_set(generation, certificates=(certificate,))


def test_a_control_key_that_the_first_one_certifies_signs_in_its_place():
    assert read(Log().write(set_value(certified(), key=OTHER), 3)).ready("sports").payload == certified()
    assert read(Log().write(set_value(certified(signature="00" * 64), key=OTHER), 3)).catalogs() == []
    assert read(Log().write(set_value(certified(), key=CONTROL), 3)).catalogs() == []


def test_a_control_key_that_was_replaced_may_not_follow():
    log = begun().write(set_value(certified(2), key=OTHER), 3)
    log.write(marker_value(a_marker(8, 1, (3,), certified(2))), 3)
    assert read(log.write(set_value(a_set(3)), 3)).ready("sports") is None
    assert read(log.write(set_value(certified(3), key=OTHER), 3)).ready("sports").payload == certified(3)


@pytest.mark.parametrize(
    "value",
    [
        marker_value(a_marker(9), key=OTHER),
        marker_value(a_marker(9), source="registry"),
        marker_value(a_marker(9, generation=2)),
        marker_value(a_marker(9, generation=0)),
        marker_value(a_marker(7)),
        marker_value(a_marker(3)),
    ],
)
def test_a_marker_of_another_key_source_or_generation_or_an_old_one_changes_nothing(value):
    said = read(begun().write(value, 3))
    assert said.newest("sports").payload == a_marker(7, 0, (), FIRST)


def test_a_clock_without_a_key_may_not_say_markers():
    open_to_all = a_set(sources={"clock": SourceRule(("epoch_end",))})
    log = Log().write(set_value(open_to_all), 3).write(marker_value(a_marker(7, 0, (), open_to_all)), 3)
    assert read(log).newest("sports") is None


def test_the_first_marker_of_an_epoch_in_a_lane_counts():
    log = begun().write(marker_value(a_marker(8)), 3).write(marker_value(a_marker(8, lanes=(3, 5))), 3)
    assert read(log).newest("sports").payload == a_marker(8)


def test_a_new_clock_key_takes_over_with_the_generation_that_names_it():
    rule = SourceRule(("epoch_end",), bytes(OTHER.pubkey()).hex())
    rekeyed = a_set(2, sources={"clock": rule})
    log = begun().write(set_value(rekeyed), 3).write(marker_value(a_marker(8, 1, (3,), rekeyed)), 3)
    log.write(marker_value(a_marker(9, 2)), 3)
    assert read(log).newest("sports").payload.epoch_id == 8
    log.write(marker_value(a_marker(9, 2), key=OTHER), 3)
    assert read(log).newest("sports").payload.epoch_id == 9


def test_where_retention_has_taken_the_activation_the_copy_of_the_set_said_last_decides():
    log = Log().write(set_value(a_set(4)), 3).write(marker_value(a_marker(8, 4)), 3)
    said = read(log)
    assert said.in_force("sports").payload == a_set(4)
    assert said.newest("sports").payload.epoch_id == 8
    log = Log().write(marker_value(a_marker(8, 4)), 3).write(set_value(a_set(4)), 3)
    assert read(log).newest("sports").payload.epoch_id == 8


def test_a_copy_fades_when_it_is_old_or_gone():
    log = begun()
    said = read(log)
    assert said.fading("sports", 60_000) == ()
    said.trimmed(3, 1)
    assert said.fading("sports", 60_000) == (3,)
    log.write(b"{}", *[3] * 61)
    assert read(log).fading("sports", 60_000) == (3,)
    assert read(log.write(set_value(FIRST), 3)).fading("sports", 60_000) == ()


def history():
    """Three generations over five lanes."""
    third = a_set(3, lanes=(0, 5))
    log = begun().write(marker_value(a_marker(8)), 3).write(set_value(SECOND), 3, 5)
    log.write(marker_value(a_marker(9, 1, (3,), SECOND)), 3, 5).write(marker_value(a_marker(10, 2, (3, 5))), 3, 5)
    log.write(set_value(third), 0, 3, 5).write(marker_value(a_marker(11, 2, (3, 5), third)), 0, 3, 5)
    return log.write(marker_value(a_marker(12, 3, (0, 5))), 5)


def summary(said):
    newest, now = said.newest("sports"), said.in_force("sports")
    ends = [said.open_end("sports", p) for p in range(8)]
    return newest.payload, newest.targets, newest.missing, now.payload.generation, now.lanes, ends


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_partitions_may_be_read_in_any_order_between_them(random):
    log = history()
    queues = {p: [r for r in log.records if r.partition == p] for p in (0, 3, 5)}
    said = ControlLog(DEPLOYMENT)
    while any(queues.values()):
        said.take(queues[random.choice([p for p in queues if queues[p]])].pop(0))
    assert summary(said) == summary(read(log))
    assert summary(said)[:5] == (a_marker(12, 3, (0, 5)), (0, 5), (0,), 3, (0, 5))


def test_reading_everything_twice_changes_nothing():
    log = history()
    said = read(log)
    assert summary(log.read_by(said)) == summary(read(log))


def test_the_clock_of_a_set_that_waits_cannot_put_it_in_force_in_a_lane_that_runs():
    rekeyed = a_set(2, lanes=(3, 5), sources={"clock": SourceRule(("epoch_end",), bytes(OTHER.pubkey()).hex())})
    log = begun().write(set_value(rekeyed), 3, 5)
    for lanes in ((), (5,)):
        said = read(log.write(marker_value(a_marker(9, 1, lanes, rekeyed), key=OTHER), 3))
        assert (said.in_force("sports").payload, said.newest("sports").payload.epoch_id) == (FIRST, 7)


def note(known):
    """What ingest writes of a set in force."""
    said = cursor(IN_FORCE + known.catalog, known)
    return Record(said.topic, said.partition, 0, said.key, said.value)


def recalled(payload, epoch_id=900, log=None, key=CONTROL):
    """What is known of a log, and of a set that was in force before the log lost it."""
    said = ControlLog(DEPLOYMENT) if log is None else read(log)
    said.take(note(InForce("sports", set_value(payload, key=key), epoch_id)))
    return said


def test_a_set_in_force_is_known_again_when_the_log_has_lost_everything():
    said = recalled(a_set(4))
    assert said.catalogs() == ["sports"]
    assert said.in_force("sports").payload == said.in_force_everywhere("sports").payload == a_set(4)
    assert (said.newest("sports"), said.last_epoch("sports")) == (None, 900)
    assert said.last_end_ms("sports") == 901 * 20_000
    assert said.fading("sports", 1) == (3,)


def test_behind_a_recalled_set_the_clock_goes_on_and_the_next_set_follows():
    log = Log().write(set_value(a_set(5)), 3).write(marker_value(a_marker(950, 4, (3,))), 3)
    said = recalled(a_set(4), log=log)
    assert (said.last_epoch("sports"), said.ready("sports").payload) == (950, a_set(5))
    log.write(marker_value(a_marker(951, 4, (3,), a_set(5))), 3)
    assert recalled(a_set(4), log=log).in_force("sports").payload == a_set(5)


def test_old_records_of_a_catalog_that_was_retired_put_nothing_in_force_again():
    log = Log().write(set_value(a_set(2)), 3).write(marker_value(a_marker(800, 2, (3,))), 3)
    said = recalled(a_set(3, retired=True), log=log)
    assert (said.in_force("sports").payload.retired, said.in_force("sports").lanes) == (True, ())
    assert (said.newest("sports"), said.ready("sports"), said.last_epoch("sports")) == (None, None, 900)


@pytest.mark.parametrize(
    "other", [a_set(30, lanes=(3,), horizon_ms=5_000), a_set(30, lanes=(5,)), a_set(30, lanes=(3,), release="cd" * 32)]
)
def test_a_set_that_was_said_later_and_never_took_force_is_not_in_force_where_the_log_has_lost_the_switch(other):
    now = a_set(30, lanes=(3,))
    log = Log().write(set_value(now, said_ms=30), 3).write(marker_value(a_marker(901, 30, (3,))), 3)
    log.write(set_value(other, said_ms=31), *other_lanes(other)).write(marker_value(a_marker(902, 30, (3,))), 3)
    said = recalled(now, log=log)
    assert (said.in_force("sports").payload, said.newest("sports").payload.epoch_id) == (now, 902)


def other_lanes(payload):
    return (5,) if payload.groups != a_set(lanes=(3,)).groups else (3,)


def test_sets_of_former_generations_do_not_fill_a_lane_that_is_opened_again():
    now, new = a_set(30, lanes=(3,)), a_set(31, lanes=(3, 5))
    log = Log()
    for generation in range(5, 21):
        log.write(set_value(a_set(generation, lanes=(3, 5)), said_ms=generation), 5)
    log.write(set_value(now, said_ms=30), 3).write(marker_value(a_marker(901, 30, (3,))), 3)
    said = ControlLog(DEPLOYMENT)
    said.take(note(InForce("sports", set_value(now), 900)))
    log.write(set_value(new, said_ms=31), 3, 5).read_by(said)
    assert (said.ready("sports").payload, said.waiting("sports")) == (new, [])


@pytest.mark.parametrize(
    "known",
    [
        InForce("sports", set_value(a_set(9), key=OTHER), 900),
        InForce("crypto", set_value(a_set(9)), 900),
        InForce("sports", set_value(a_set(9))[:-1], 900),
        InForce("sports", marker_value(a_marker(7)), 900),
        InForce("sports", b"", 900),
    ],
)
def test_what_is_recalled_and_is_no_signed_set_of_its_catalog_changes_nothing(known):
    said = read(begun())
    said.take(note(known))
    assert (said.catalogs(), said.in_force("sports").payload, said.last_epoch("sports")) == (["sports"], FIRST, 7)


@pytest.mark.parametrize("value", [b"\xc1", b"", b"\x93\xa6sports\xc4\x00"])
def test_a_note_that_cannot_be_read_is_passed_over(value):
    said = read(begun())
    said.take(replace(note(InForce("sports", set_value(a_set(9)), 900)), value=value))
    assert (said.in_force("sports").payload, said.last_epoch("sports")) == (FIRST, 7)
    said.take(note(InForce("sports", set_value(a_set(9)), 900)))
    assert (said.in_force("sports").payload, said.last_epoch("sports")) == (a_set(9), 900)


@pytest.mark.parametrize("epoch_id", [7, 8, 9, 10, 11, 12])
def test_it_does_not_matter_when_the_set_in_force_is_recalled(epoch_id):
    sets = {7: FIRST, 8: FIRST, 9: SECOND, 10: SECOND, 11: a_set(3, lanes=(0, 5)), 12: a_set(3, lanes=(0, 5))}
    known = InForce("sports", set_value(sets[epoch_id]), epoch_id)
    records = history().records
    for place in range(len(records) + 1):
        said = ControlLog(DEPLOYMENT)
        for record in records[:place]:
            said.take(record)
        said.take(note(known))
        for record in records[place:]:
            said.take(record)
        assert current(said) == current(read(history()))


def current(said):
    """The summary without the windows of lanes that have ended."""
    *rest, ends = summary(said)
    return [*rest, {lane: ends[lane] for lane in said.in_force("sports").lanes}]


def test_what_somebody_writes_around_markers_that_nobody_signed_is_not_kept():
    said, big = read(begun()), 500_000
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(200):
            event = raw_event("x", f"{number}", "", None, EPOCH_END, 1, 1, a_marker(7, 999, (3,)))
            value = encode_raw(event)[:-1] + b" " * big + b"}"
            Log().write(value, 3).read_by(said)
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert kept < 4 * big
