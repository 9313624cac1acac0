"""Exact repeats: what a lane has applied it does not apply again, however late, in whatever order, restarted or not."""

import random

import lanes_world as world
import msgspec
import pytest
from lanes_first import First
from m0common.canonical import PredictionLeaf
from m0lanes.control import SourceRule
from m0lanes.dedupe import CHUNK, IDS, IDS_CHUNK, WINDOW, Repeats
from m0lanes.entities import Entities
from m0lanes.pipeline import Pipeline

NO_ID = bytes(32)


class Lane:
    """Repeats over entities that may be restarted, beside sets that remember everything."""

    def __init__(self) -> None:
        self.entities = Entities()
        self.repeats = Repeats(self.entities)
        self.applied: dict[tuple[str, str], set[int]] = {}

    def restart(self) -> None:
        self.repeats.write_back()
        self.entities = Entities(self.entities.items())
        self.repeats = Repeats(self.entities)

    def offer(self, source: str, group: str, seq: int) -> None:
        known = self.applied.setdefault((source, group), set())
        high = max(known, default=0)
        expected = seq in known or seq <= high - WINDOW
        numbers = self.repeats.of(source, group, dense=True)
        assert numbers.seen(seq, NO_ID) == expected, (seq, high)
        if not expected:
            numbers.add(seq, NO_ID)
            known.add(seq)

    def seen(self, source: str, group: str, event_id: bytes) -> bool:
        return self.repeats.of(source, group, dense=False).seen(0, event_id)

    def add(self, source: str, group: str, event_id: bytes) -> None:
        self.repeats.of(source, group, dense=False).add(0, event_id)

    def count(self) -> int:
        """How many entities there are."""
        self.repeats.write_back()
        return self.entities.count


@pytest.mark.parametrize("seed", range(20 if not world.SOAK else 500))
def test_a_dense_source_is_told_apart_like_by_a_set_that_remembers_everything(seed: int):
    rng, lane = random.Random(seed), Lane()
    at = 0
    for _ in range(1_500):
        jump = rng.random()
        if jump < 0.005:
            at += rng.choice((WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW, 1 << 40, CHUNK, rng.randrange(WINDOW)))
        elif jump < 0.7:
            at += 1
        edge = rng.choice(
            (0, 0, 0, rng.randrange(200), rng.randrange(2 * WINDOW), WINDOW - 1, WINDOW, WINDOW + 1, CHUNK)
        )
        lane.offer(rng.choice("ab"), rng.choice("gh"), max(1, at - edge))
        if rng.random() < 0.01:
            lane.restart()


@pytest.mark.parametrize("seed", range(10 if not world.SOAK else 200))
def test_the_state_does_not_depend_on_when_it_was_written_into_entities(seed: int):
    rng, often, once = random.Random(seed), Lane(), Lane()
    at = 0
    for _ in range(400):
        at += rng.choice((0, 1, 1, 1, 3, CHUNK, WINDOW - 1, WINDOW + 1))
        seq = max(1, at - rng.choice((0, 0, 1, rng.randrange(2 * WINDOW), CHUNK)))
        for lane in (often, once):
            lane.offer("a", "g", seq)
        often.repeats.write_back()
    once.repeats.write_back()
    assert dict(once.entities.items()) == dict(often.entities.items())


def test_numbers_up_to_the_widest_are_taken():
    lane = Lane()
    for seq in (1, (1 << 63) - 1, (1 << 63) - 2, 2):
        lane.offer("a", "g", seq)


def test_a_lane_keeps_no_more_of_a_source_than_its_window():
    lane = Lane()
    for seq in range(1, 4 * WINDOW, CHUNK // 2):
        lane.offer("a", "g", seq)
    assert lane.count() <= WINDOW // CHUNK + 2
    lane.offer("a", "g", 1 << 50)
    lane.offer("a", "g", (1 << 50) + WINDOW)
    assert lane.count() <= 3


def ids(start: int, end: int) -> list[bytes]:
    return [number.to_bytes(4, "big").rjust(16, b"i") + bytes(16) for number in range(start, end)]


@pytest.mark.parametrize("restarts", [False, True])
def test_of_other_sources_the_newest_2048_ids_at_least_are_known(restarts: bool):
    lane = Lane()
    made = ids(0, 3 * IDS + 7)
    assert IDS >= 2_048
    for count, event_id in enumerate(made, 1):
        assert not lane.seen("crowd", "g", event_id)
        lane.add("crowd", "g", event_id)
        if restarts and count % 501 == 0:
            lane.restart()
    assert all(lane.seen("crowd", "g", event_id) for event_id in made[-IDS:])
    assert not lane.seen("crowd", "g", made[0])
    assert lane.count() <= IDS // IDS_CHUNK + 2


def test_live_and_restarted_forget_the_same_ids():
    live, restarted = Lane(), Lane()
    made = ids(0, 2 * IDS + 45)
    for count, event_id in enumerate(made, 1):
        for lane in (live, restarted):
            lane.add("crowd", "g", event_id)
        if count % 37 == 0:
            restarted.restart()
        if count % 331 == 0:
            known = [[lane.seen("crowd", "g", i) for i in made] for lane in (live, restarted)]
            assert known[0] == known[1]
    assert live.entities.digest() == restarted.entities.digest()


def test_busy_sources_and_groups_push_out_nobody_elses_ids():
    lane = Lane()
    rare = ids(0, 1)[0]
    lane.add("crowd", "g", rare)
    for event_id in ids(1, 3 * IDS):
        lane.add("busy", "g", event_id)
        lane.add("crowd", "h", event_id)
    assert lane.seen("crowd", "g", rare)
    assert not lane.seen("busy", "g", rare)


def heads(log: world.World) -> int:
    """The probability of heads in the leaf of the first epoch."""
    log.end(world.FIRST)
    (closed,) = world.play(log.records)
    return PredictionLeaf.decode(closed.leaves[0]).outcomes[0].p


def one_market() -> world.World:
    log = world.World()
    log.begin()
    log.open("penny", "COIN", world.BASE_MS)
    log.toss("penny", True, world.BASE_MS + 1, seq=7)
    return log


def test_a_repeat_with_other_content_under_the_same_number_is_dropped():
    log = one_market()
    log.toss("penny", False, world.BASE_MS + 2, seq=7)
    assert heads(log) == heads(one_market())
    pipeline = Pipeline(world.HEART)
    world.play(log.records, pipeline)
    assert pipeline.cores[0].drops["table", "repeat"] == 1


def test_a_correction_under_a_new_number_reaches_the_domain():
    log = one_market()
    log.toss("penny", False, world.BASE_MS + 1, seq=8, identity="e1")
    assert heads(log) == 500_000_000


def test_an_event_sent_again_after_thousands_of_others_is_not_learned_again():
    log = one_market()
    log.toss("penny", True, world.BASE_MS + 3, source="crowd", identity="rare")
    rare = log.records[-1]
    for number in range(2_100):
        log.toss("penny", number % 2 == 0, world.BASE_MS + 4)
    log.raw(rare.partition, rare.value)
    pipeline = Pipeline(world.HEART)
    world.play(log.records, pipeline)
    assert pipeline.cores[0].drops["crowd", "repeat"] == 1


def test_what_was_dropped_or_refused_is_no_repeat_when_it_comes_again():
    """An event about a market that is not open yet is not applied, so that it may be sent again once it is."""
    log = world.World()
    log.begin()
    log.toss("penny", True, world.BASE_MS + 1, "COIN", seq=1)
    log.open("penny", "COIN", world.BASE_MS)
    log.toss("penny", True, world.BASE_MS + 1, "COIN", seq=1)
    assert heads(log) == 666_666_666


@pytest.mark.parametrize("between", ["events", "numbers"])
def test_a_copy_of_an_opening_opens_no_market_that_was_closed(between: str):
    """However many other events of the registry lie between, or however far its numbers have come."""
    log = one_market()
    opening = log.open("penny", "GONE", world.BASE_MS)
    log.close("penny", "GONE", world.BASE_MS + 1)
    if between == "numbers":
        log.open("penny", "FAR", world.BASE_MS, seq=1 << 40)
        log.close("penny", "FAR", world.BASE_MS + 1, seq=(1 << 40) + 1)
    else:
        for number in range(1_100):
            log.open("penny", f"OTHER_{number}", world.BASE_MS + 2)
            log.close("penny", f"OTHER_{number}", world.BASE_MS + 2)
    log.raw(opening.partition, opening.value)
    log.end(world.FIRST)
    pipeline = Pipeline(world.HEART)
    (closed,) = world.play(log.records, pipeline)
    assert closed.market_ids == ("COIN",)
    assert pipeline.cores[0].drops["registry", "repeat"] == 1


def registry_at_work(seed: int, *, copies: bool) -> world.World:
    """Markets that open and close, some events held for the next window; perhaps copies of whatever was said before."""
    rng, log = random.Random(seed), world.World(groups=("dime", "penny"))
    log.begin()
    said = []
    for index in range(4):
        for _ in range(30):
            log.now_ms += rng.randrange(500)
            group, market, at_ms = rng.choice(log.groups), f"M_{rng.randrange(6)}", log.now_ms + rng.choice((0, 25_000))
            said.append((log.open if rng.random() < 0.6 else log.close)(group, f"{market}_{group.upper()}", at_ms))
            for old in rng.choices(said, k=2):
                if copies:
                    log.raw(old.partition, old.value)
        log.end(world.FIRST + index)
        log.now_ms += rng.choice((0, 700_000))  # beyond the horizon, which asks nothing of the registry
    return log


@pytest.mark.parametrize("seed", range(6 if not world.SOAK else 100))
def test_copies_of_what_the_registry_said_change_nothing(seed: int):
    alone, among_copies = (registry_at_work(seed, copies=copies) for copies in (False, True))
    expected = world.headers(world.play(alone.records))
    assert world.headers(world.play(among_copies.records)) == expected
    assert len(expected) == 4


def test_no_restart_makes_a_copy_of_an_opening_count():
    log = registry_at_work(1, copies=True)
    First(world.HEART, log.records).check_every_restart()


@pytest.mark.parametrize("kind", ["market_open", "market_close"])
@pytest.mark.parametrize(("key", "dense"), [(None, False), (None, True), ("11" * 32, False)])
def test_no_set_lets_a_source_speak_of_markets_unsigned_or_unnumbered(kind: str, key: str | None, dense: bool):
    rule = msgspec.json.encode({"kinds": ["toss", kind], "key": key, "dense": dense})
    with pytest.raises(msgspec.ValidationError, match="signed and numbered"):
        msgspec.json.decode(rule, type=SourceRule)
