"""Whoever may write into the topics between stages can cost a stage a letter or park a lane, never stop it."""

import random
from collections.abc import Callable, Iterable, Iterator

import lanes_world as world
import msgspec
import pytest
from lanes_steps import opened
from lanes_toy import Tossed
from m0common.canonical import ZERO, Outcome
from m0common.messages import LaneMessage, encode
from m0common.stream.core import Cut, Letter, Output, StageCore
from m0common.stream.records import Produce, Record
from m0common.topics import FEATURES, NORMALIZED, PREDICTIONS
from m0lanes.bodies import (
    KINDS,
    FeatureRow,
    Generation,
    Marker,
    MarketClosed,
    MarketOpened,
    Prediction,
    Rebased,
    decode_body,
)
from m0lanes.laned import decode_message
from m0lanes.packing import pack
from m0lanes.pipeline import Pipeline
from m0lanes.strangers import STRANGERS_MAX
from msgspec import Raw
from msgspec.structs import replace

INTEGERS = (0, 1, -1, 255, 1023, 1024, 1 << 16, 1 << 31, 1 << 32, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, -(1 << 63))
INTEGERS += ((1 << 64) - 1, world.FIRST, world.FIRST + 1, world.FIRST + 2, world.BASE_MS, 253_402_300_799_999)
TEXTS = ("", "coins", "COIN_0", "penny", "x" * 17, "X" * 65, "x" * 70_000, "é\0", "frequency", "Coins", "../..")
BYTES = (b"", ZERO, ZERO[1:], bytes(33), world.COINS_RELEASE, world.OTHER_RELEASE, bytes(70_000))
SHAPES = (None, True, 1.5, [], {}, [[]], [1, ZERO], [["a", 1]], [0, 0, 0])
ODD = (b"", b"\xc1", b"\xa1\xff", b"\x91" * 5_000 + b"\xc0", b"\x90", b"\xff" * 40)
DIGESTS = {NORMALIZED.name: 1, FEATURES.name: 2, PREDICTIONS.name: 3}
LANES = 4


SIGNED = tuple(
    world.World().rebase(partition, world.FIRST, [ZERO] * 3, 0, life, key=key).value
    for partition in range(LANES)
    for life in (1, 2)
    for key in (world.CONTROL, world.STRANGER)
)
"""Rebases, some of them by a key that begins no life."""


def _outcome(rng: random.Random) -> tuple[Outcome, ...]:
    p = rng.choice((1, 500_000_000, 10**9, 1 << 63))
    return (Outcome(p, 0, 10**9), Outcome(abs(10**9 - p), 0, 10**9))


def _body(rng: random.Random, kind: str, digests: int) -> msgspec.Struct:
    """A body as a stage before might say it."""
    epoch, market = world.FIRST + rng.randrange(1, 3), f"COIN_{rng.randrange(5)}"
    end = (epoch + 1) * world.EPOCH_MS
    lanes = rng.choice(((0,), (0, 1), (0, 1, 2, 3), (2,)))
    following = rng.choice((ZERO, world.COINS_RELEASE))
    made: dict[str, Callable[[], msgspec.Struct]] = {
        "generation": lambda: Generation(
            2, ZERO, world.EPOCH_MS, "coins", 1, world.COINS_RELEASE, "frequency", (("a", 1),), rng.random() < 0.3
        ),
        "market_opened": lambda: MarketOpened(market, "penny", ("A", "B"), 1, 5, (("a", "b"),)),
        "market_closed": lambda: MarketClosed(market),
        "feature_row": lambda: FeatureRow(market, epoch, end, (("tosses", 1),), ZERO, rng.random() < 0.3),
        "prediction": lambda: Prediction(market, epoch, end, 1, _outcome(rng), 10, 0, "frequency", ZERO, ZERO),
        "marker": lambda: Marker(
            epoch,
            end - world.EPOCH_MS,
            end,
            1,
            1,
            lanes,
            rng.choice((None, (2, ZERO))),
            (),
            following,
            ZERO,
            ZERO,
            0,
            ZERO,
            ZERO,
            (ZERO,) * digests,
        ),
        "rebased": lambda: Rebased(rng.choice(SIGNED)),
        "tossed": lambda: Tossed("penny", market, end, 1),
    }
    return made[kind]()


def _spoilt(rng: random.Random, value: object) -> object:
    """The value with one of its parts replaced by another, which may be in its bounds or not."""
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [_spoilt(rng, part) if index == at else part for index, part in enumerate(value)]
    pools = {int: INTEGERS, str: TEXTS, bytes: BYTES}
    pool = pools.get(type(value), SHAPES) if rng.random() < 0.9 else INTEGERS + TEXTS + BYTES + SHAPES
    return rng.choice(pool)


def _plain(raw: bytes) -> object:
    return msgspec.msgpack.decode(raw)


def _forged(rng: random.Random, topic: str, partition: int, seqs: dict[int, int]) -> bytes:
    """A message that a stage would take next, or one that is spoilt somewhere."""
    kind = rng.choice((*KINDS, "tossed", "marker", "prediction"))
    body = pack(_body(rng, kind, DIGESTS[topic]))
    if rng.random() < 0.5:
        body = pack(_spoilt(rng, _plain(body)))
    if rng.random() < 0.05:
        body = rng.choice(ODD[1:])
    lane = rng.randrange(LANES) if topic == PREDICTIONS.name else partition
    life = int(kind == "rebased")
    seq = 1 if life else seqs.get(lane, 0) + 1
    message = LaneMessage("coins", lane, life, seq, world.COINS_RELEASE, 9, kind, Raw(body))
    if rng.random() < 0.3:
        *head, said = message.__struct_fields__
        fields = _spoilt(rng, [getattr(message, name) for name in head])
        raw = pack([*fields, getattr(message, said)]) if isinstance(fields, list) else pack(fields)
        return raw if rng.random() < 0.9 else raw[: rng.randrange(len(raw))]
    if not life:
        seqs[lane] = message.seq
    return encode(message)


def _said(log: world.World, topic: str) -> list[Record]:
    """What is in a topic once a log was played."""
    found: list[Record] = []

    def note(_stage: str, output: Output) -> None:
        if isinstance(output, Produce) and output.topic == topic:
            offset = sum(record.partition == output.partition for record in found)
            found.append(Record(topic, output.partition, offset, output.key, output.value))

    pipeline = Pipeline(world.HEART, observer=note)
    for record in log.records:
        pipeline.feed(record)
    return found


def _checked(outputs: Iterable[Output]) -> Iterator[Output]:
    for output in outputs:
        if isinstance(output, Produce) and output.topic in DIGESTS:
            message = decode_message(output.value)
            if message.kind in KINDS:
                decode_body(message.body, KINDS[message.kind])
        if isinstance(output, Cut):
            encode(output.complete(0, 0))
        yield output


CORES: dict[str, Callable[[], StageCore]] = {
    NORMALIZED.name: world.HEART.feature,
    FEATURES.name: world.HEART.model,
    PREDICTIONS.name: world.HEART.bundle,
}


@pytest.mark.parametrize("topic", sorted(CORES))
def test_no_message_makes_a_stage_raise_and_what_it_says_then_is_in_bounds(topic):
    known = _said(opened(), topic)
    ends: dict[str, int] = {}
    for seed in range(2_000 if world.SOAK else 120):
        rng, core, seqs = random.Random(seed), CORES[topic](), {}
        for record in known:
            list(core.feed(record))
            message = decode_message(record.value)
            seqs[message.partition] = message.seq
        partition = rng.choice(known).partition
        for offset in range(1_000, 1_025):
            value = _forged(rng, topic, partition, seqs) if rng.random() < 0.95 else rng.choice(ODD)
            for output in _checked(core.feed(Record(topic, partition, offset, b"coins", value))):
                name = output.error.error if isinstance(output, Letter) else type(output).__name__
                ends[name] = ends.get(name, 0) + 1
        for produce in core.asides():
            assert len(produce.value) < 1 << 20
        for cut in core.cuts(partition, 0):
            encode(cut.complete(0, 0))
        core.reports()
    assert {"not_a_lane_message", "not_a_lane_body", "wrong_signature", "wrong_life", "Cut"} <= ends.keys()


@pytest.mark.parametrize("topic", sorted(CORES))
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("partition", -1),
        ("partition", 1024),
        ("life", (1 << 32) - 1),
        ("seq", 1 << 63),
        ("cause", -2),
        ("release", bytes(31)),
        ("catalog", "x" * 17),
        ("catalog", "Coins"),
        ("catalog", ""),
        ("kind", "x" * 65),
    ],
)
def test_a_message_out_of_bounds_is_one_letter_and_no_lane(topic, field, value):
    core, body = CORES[topic](), Raw(pack(MarketClosed("COIN_0")))
    fields = {"catalog": "coins", "partition": 0, "life": 0, "seq": 1, "release": ZERO, "cause": 0, "kind": "marker"}
    made = encode(LaneMessage(**fields | {field: value}, body=body))
    (letter,) = core.feed(Record(topic, 0, 0, b"coins", made))
    assert letter.error.error == "not_a_lane_message"
    assert core.reports() == []


def test_a_prediction_that_makes_no_leaf_is_one_letter():
    core, known = world.HEART.bundle(), _said(opened(), PREDICTIONS.name)
    first = next(record for record in known if decode_message(record.value).kind == "generation")
    assert list(core.feed(first))
    lane = decode_message(first.value)
    says = Prediction("COIN_0", world.FIRST, 1, 1, (Outcome(1, 1, 1), Outcome(1, 1, 1)), 0, 0, "m", ZERO, ZERO)
    value = encode(replace(lane, seq=2, kind="prediction", body=Raw(pack(says))))
    (letter,) = core.feed(Record(PREDICTIONS.name, first.partition, 1_000, b"coins", value))
    assert letter.error.error == "not_a_leaf"


# --- lanes that somebody made up -------------------------------------------------------------------------------------


def _word(known: list[Record], **changes: object) -> Record:
    """A message like the last of coins, in its partition, with something else in it."""
    last = known[-1]
    return replace(last, value=encode(replace(decode_message(last.value), **changes)), offset=1_000)


@pytest.mark.parametrize("release", [world.COINS_RELEASE, ZERO], ids=["installed", "another"])
@pytest.mark.parametrize("topic", sorted(CORES))
def test_of_lanes_that_somebody_made_up_a_few_are_told_of_none_is_saved_and_the_rest_are_letters(topic, release):
    core, known = CORES[topic](), _said(opened(), topic)
    for record in known[:-1]:
        list(core.feed(record))
    before = core.reports()
    made_up = [_word(known, catalog=f"f{n}", seq=7 + n, release=release) for n in range(3_000)]
    said = [output for record in made_up for output in core.feed(record)]
    assert len(said) == 3_000 - STRANGERS_MAX
    assert {(type(output), output.error.error, output.taken) for output in said} == {(Letter, "unknown_lane", None)}
    partition = known[-1].partition
    saved = [*core.cuts(partition, -1), *core.park(partition, "the log is gone")]
    assert {cut.lane.catalog for cut in saved} == {"coins"}
    reports = core.reports()
    assert len(reports) == len(before) + STRANGERS_MAX
    assert [report.lane for report in reports] == sorted(report.lane for report in reports)


@pytest.mark.parametrize("topic", sorted(CORES))
def test_a_lane_left_without_state_and_without_the_head_of_its_log_is_parked_and_begins_with_its_first_message(topic):
    core, known = CORES[topic](), _said(opened(), topic)
    first = next(record for record in known if decode_message(record.value).kind == "generation")
    mine = [r for r in known if decode_message(r.value).partition == decode_message(first.value).partition]
    assert list(core.feed(mine[2])) == []
    (parked,) = core.reports()
    assert "expects message 1" in (parked.parked or "")
    assert "if 'm0 lane list' does not name it somebody made it up" in (parked.parked or "")
    outputs = [output for record in mine for output in core.feed(record)]
    assert not any(isinstance(output, Letter) for output in outputs)
    assert any(isinstance(output, Cut) for output in outputs)
    assert core.reports()[0].parked is None


@pytest.mark.parametrize("topic", sorted(CORES))
def test_a_letter_tells_which_lane_took_the_message_and_of_nonsense_that_none_did(topic):
    core, known = CORES[topic](), _said(opened(), topic)
    for record in known:
        list(core.feed(record))
    last = decode_message(known[-1].value)
    (letter,) = core.feed(_word(known, seq=last.seq + 1, kind="nonsense"))
    assert letter.taken is not None
    assert letter.taken.lane == ("coins", known[-1].partition)
    assert letter.taken.position > 1
    (next_one,) = core.feed(_word(known, seq=last.seq + 2, kind="marker", body=Raw(b"\xc0")))
    assert next_one.taken == letter.taken._replace(position=letter.taken.position + 1)
    (nonsense,) = core.feed(replace(known[-1], value=b"garbage"))
    assert nonsense.taken is None


def test_a_catalog_tells_of_a_few_of_the_lanes_of_which_something_is_missing():
    core, known = world.HEART.bundle(), _said(opened(), PREDICTIONS.name)
    for record in known:
        list(core.feed(record))
    for lane in range(100, 1_000):
        list(core.feed(_word(known, partition=lane, seq=5)))
    (report,) = core.reports()
    assert "and 892 lanes more" in (report.parked or "")
    assert len(report.parked or "") < 4_000
