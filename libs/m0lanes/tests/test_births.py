"""A life begins with a signed rebase alone: every stage looks for itself who signed it."""

from collections.abc import Callable

import lanes_world as world
import msgspec
import pytest
from lanes_fleet import Fleet
from lanes_lives import LANES, NOTHING, begun, rebase
from m0common.messages import InputSeq, LaneMessage, Manifest, encode, encode_raw
from m0common.messages.types import SIGNED_MAX_BYTES
from m0common.stream.core import Cut, Letter, StageCore
from m0common.stream.records import Record
from m0common.topics import FEATURES, NORMALIZED, PREDICTIONS
from m0lanes.births import no_life
from m0lanes.bodies import Rebased
from m0lanes.bundle_state import born_key
from m0lanes.door import decode_event
from m0lanes.laned import decode_message
from m0lanes.packing import pack
from msgspec import Raw
from msgspec.structs import replace

LANE = LANES[0]
STAGES = {NORMALIZED.name: 2, FEATURES.name: 3, PREDICTIONS.name: 4}
Change = Callable[[LaneMessage], LaneMessage]


def core(stage: int) -> StageCore:
    return {2: world.HEART.feature, 3: world.HEART.model, 4: world.HEART.bundle}[stage]()


def event(lane: int = LANE, **changes) -> bytes:
    return world.World().rebase(lane, 0, NOTHING, 0, **changes).value


def brought(value: bytes) -> Change:
    return lambda message: replace(message, body=Raw(pack(Rebased(value))))


def said(fleet: Fleet, topic: str) -> list[Record]:
    return [r for (name, _), log in sorted(fleet.topics.logs.items()) if name == topic for r in log]


UNSIGNED = encode_raw(replace(decode_event(event()), signature=None))
FORGED: list[tuple[str, Change, str]] = [
    ("another key", brought(event(key=world.STRANGER)), "wrong_signature"),
    ("no signature", brought(UNSIGNED), "wrong_signature"),
    ("another life", lambda message: replace(message, life=2), "wrong_life"),
    ("a later message", lambda message: replace(message, seq=2), "wrong_life"),
    ("another release", lambda message: replace(message, release=world.OTHER_RELEASE), "wrong_life"),
    ("another catalog", brought(event(catalog="others")), "wrong_life"),
    ("another partition", brought(event(LANES[1])), "wrong_life"),
    ("no rebase", brought(world.World().open("penny", "COIN_0", 1).value), "not_a_lane_body"),
    ("no event", brought(b"{}"), "invalid_event"),
    ("nothing", brought(b""), "empty"),
    ("too large", brought(bytes(SIGNED_MAX_BYTES + 1)), "not_a_lane_body"),
]


@pytest.mark.parametrize("topic", sorted(STAGES))
@pytest.mark.parametrize(("change", "error"), [case[1:] for case in FORGED], ids=[case[0] for case in FORGED])
def test_what_no_control_key_signed_for_this_life_of_this_lane_is_a_letter_and_begins_nothing(topic, change, error):
    _, fleet = begun(1)
    made = core(STAGES[topic])
    known = said(fleet, topic)
    for record in known:
        list(made.feed(record))
    before = made.reports()
    honest = LaneMessage("coins", LANE, 1, 1, world.COINS_RELEASE, 9, "rebased", Raw(pack(Rebased(event()))))
    partition = next(r.partition for r in known if decode_message(r.value).partition == LANE)
    (letter,) = made.feed(Record(topic, partition, 1_000, b"coins", encode(change(honest))))
    assert isinstance(letter, Letter)
    assert letter.error.error == error
    assert made.reports() == before
    assert [type(output) for output in made.feed(Record(topic, partition, 1_001, b"coins", encode(honest)))] != [Letter]


@pytest.mark.parametrize("kind", ["generation", "marker", "prediction"])
@pytest.mark.parametrize("topic", sorted(STAGES))
def test_a_message_of_a_life_that_nothing_began_stops_its_lane_until_a_signed_life_begins(topic, kind):
    log, fleet = begun(1)
    made = core(STAGES[topic])
    for record in said(fleet, topic):
        list(made.feed(record))
    some = next(r for r in said(fleet, topic) if decode_message(r.value).partition == LANE)
    forged = replace(decode_message(some.value), life=7, seq=1, kind=kind)
    (cut,) = made.feed(Record(topic, some.partition, 1_000, b"coins", encode(forged)))
    assert isinstance(cut, Cut)
    assert any("in life 7, whose beginning is missing" in (report.parked or "") for report in made.reports())
    since = len(log.records)
    rebase(log, fleet, world.FIRST + 2, world.COINS_RELEASE, [LANE])
    fleet.write(log.records[since:])
    fleet.run_until_idle()
    newborn = next(r for r in said(fleet, topic) if decode_message(r.value).kind == "rebased")
    for output in made.feed(replace(newborn, offset=1_001)):
        assert not isinstance(output, Letter)


def test_a_signed_rebase_that_somebody_pads_is_said_on_without_the_padding():
    log, fleet = begun(1)
    signed = log.rebase(LANE, world.FIRST + 2, *fleet.topics.roots(LANE, world.FIRST + 2))
    padded = replace(signed, value=signed.value + b" " * 500_000)
    fleet.write([padded])
    fleet.run_until_idle()
    (message,) = [decode_message(r.value) for r in said(fleet, NORMALIZED.name) if b"rebased" in r.value]
    body = msgspec.msgpack.decode(message.body, type=Rebased)
    assert body.event == signed.value
    assert fleet.parked() == []


def newest(fleet: Fleet, stage: int) -> Manifest:
    return [m for m in fleet.topics.manifests if (m.stage, m.partition) == (stage, LANE)][-1]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_manifest_brings_the_signed_rebase_of_its_life_and_is_nothing_without_it(stage):
    log, fleet = begun(1)
    since = len(log.records)
    rebase(log, fleet, world.FIRST + 2, world.COINS_RELEASE, [LANE])
    fleet.write(log.records[since:])
    fleet.run_until_idle()
    assert all(no_life(manifest, world.DEPLOYMENT) is None for manifest in fleet.topics.manifests)
    made = newest(fleet, stage)
    assert made.life == 1
    for forged in (
        replace(made, rebase=b""),
        replace(made, rebase=event(key=world.STRANGER)),
        replace(made, rebase=event(LANES[1])),
        replace(made, life=2),
        replace(made, life=0),
        replace(made, catalog="others"),
        replace(made, input_seqs=(InputSeq(LANE, 7, 1),)),
        replace(made, input_seqs=(InputSeq(LANES[1], 1, 1),)),
    ):
        assert no_life(forged, world.DEPLOYMENT) is not None, forged


def test_the_bundle_stage_has_one_life():
    _, fleet = begun(1)
    made = [m for m in fleet.topics.manifests if m.stage == 4][-1]
    assert no_life(made, world.DEPLOYMENT) is None
    assert no_life(replace(made, life=1, rebase=event(made.partition)), world.DEPLOYMENT) is not None


def test_a_bundle_that_has_read_a_life_brings_the_signed_rebase_of_it():
    log, fleet = begun(1)
    since = len(log.records)
    rebase(log, fleet, world.FIRST + 2, world.COINS_RELEASE, [LANE])
    log.end(world.FIRST + 3)
    fleet.write(log.records[since:])
    fleet.run_until_idle()
    known = [fleet.topics.restore(m) for m in fleet.topics.manifests if m.stage == 4]
    bundle = world.HEART.bundle()
    assert all(bundle.unsound(found.manifest, found.entities) is None for found in known)
    manifest, entities, _ = known[-1]
    assert {seq.partition: seq.life for seq in manifest.input_seqs}[LANE] == 1
    ahead = tuple(seq._replace(life=9) if seq.partition == LANE else seq for seq in manifest.input_seqs)
    assert "life 9" in (bundle.unsound(replace(manifest, input_seqs=ahead), entities) or "")
    back = tuple(seq._replace(life=0) for seq in manifest.input_seqs)
    assert "life 0" in (bundle.unsound(replace(manifest, input_seqs=back), entities) or "")
    without = {key: value for key, value in entities.items() if key != born_key(LANE)}
    assert "life 1" in (bundle.unsound(manifest, without) or "")
