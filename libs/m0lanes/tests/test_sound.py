"""A state that no stage made is refused before a lane goes on from it; whatever is taken stops no stage."""

import random
from collections.abc import Callable, Iterable, Mapping

import lanes_world as world
import msgspec
import pytest
from lanes_fleet import Fleet, Instance
from lanes_lives import LANES, begun, rebase
from lanes_steps import opened
from m0common.canonical import ZERO, state_digest
from m0common.messages import Manifest, StateBatch
from m0common.messages.codec import UNDECODABLE
from m0common.stream.core import StageCore
from m0lanes import tags
from m0lanes.entities import entity_key, key_parts
from m0lanes.packing import pack

STAGES = (1, 2, 3, 4)
INTEGERS = (0, 1, -1, 1 << 16, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 63), world.FIRST, world.FIRST + 9)
TEXTS = ("", "COIN_0", "COIN_9", "penny", "others", "x" * 70, "é\0")
BYTES = (b"", ZERO, bytes(31), bytes([9]) * 32, world.OTHER_RELEASE)
SHAPES = (None, True, False, 1.5, [], {}, [[]])
ODD = (
    b"",
    b"\xc1",
    b"\x90",
    b"\xa1\xff",
    b"\x91" * 3_000 + b"\xc0",
    b"{",
    b"null",
    bytes(70_000),
    bytes(8),
    b"\xff" * 8,
)
State = dict[bytes, bytes]


@pytest.fixture(scope="module")
def played() -> tuple[world.World, Fleet]:
    """A log of which much is open still: markers of some lanes, leaves, held events, sets that are defined."""
    log = world.season(3)
    log.define(2)
    before = len(log.records)
    log.end(world.FIRST + 3, partitions=LANES[:1])
    fleet = Fleet(world.HEART)
    fleet.write(log.records[:before])
    fleet.run_until_idle()
    fleet.write(log.records[before:])
    fleet.run_until_idle()
    return log, fleet


def core(stage: int) -> StageCore:
    made = {1: world.HEART.normalize, 2: world.HEART.feature, 3: world.HEART.model, 4: world.HEART.bundle}
    return made[stage]()


def newest(fleet: Fleet, stage: int) -> tuple[Manifest, State]:
    """The state of one lane of a stage that has most."""
    found = [fleet.topics.restore(m) for m in fleet.topics.manifests if m.stage == stage]
    best = max(found, key=lambda each: (len(each.entities), each.manifest.position))
    return best.manifest, best.entities


def spoilt(rng: random.Random, value: object) -> object:
    """The value with one of its parts replaced by another one."""
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [spoilt(rng, part) if index == at else part for index, part in enumerate(value)]
    if isinstance(value, dict) and value:
        name = rng.choice(sorted(value))
        return {**value, name: spoilt(rng, value[name])}
    pools = {int: INTEGERS, str: TEXTS, bytes: BYTES, bool: (True, False)}
    pool = pools.get(type(value), SHAPES) if rng.random() < 0.9 else (*INTEGERS, *TEXTS, *BYTES, *SHAPES)
    return rng.choice(pool)


def other_value(rng: random.Random, value: bytes) -> bytes:
    way = rng.randrange(6)
    if way == 0:
        return rng.choice(ODD)
    if way == 1:
        return value + rng.choice((b"\0", b"\xc0", value))
    if way == 2 and value:
        at = rng.randrange(len(value))
        return value[:at] + bytes((value[at] ^ 1 << rng.randrange(8),)) + value[at + 1 :]
    try:
        if value[:1] == b"{":
            return msgspec.json.encode(spoilt(rng, msgspec.json.decode(value)))
        return pack(spoilt(rng, msgspec.msgpack.decode(value)))
    except (*UNDECODABLE, UnicodeEncodeError, OverflowError):
        return rng.randbytes(len(value))


def other_key(rng: random.Random, key: bytes) -> bytes:
    parts = list(key_parts(key))
    way = rng.randrange(5)
    if way == 0:
        return rng.choice((b"", key[:-1], key + b"\0", bytes((key[0],)), bytes((99,)) + key[1:], b"\xff"))
    if way == 1:
        return bytes((rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17)),)) + key[1:]
    if way == 2 and parts:
        parts.pop(rng.randrange(len(parts)))
    elif parts:
        parts[rng.randrange(len(parts))] = rng.choice((b"", b"x", b"\xff", bytes(8), bytes(4), b"COIN_7", b"\xff" * 8))
    return entity_key(key[0], *parts)


def mutated(rng: random.Random, state: State) -> State:
    """One to three entities of a state that are not what they were."""
    made = dict(state)
    for _ in range(rng.randrange(1, 4)):
        key = rng.choice(sorted(state))
        if key not in made:
            continue
        way = rng.random()
        if way < 0.5:
            made[key] = other_value(rng, made[key])
        elif way < 0.65:
            made[key] = made[rng.choice(sorted(made))]
        elif way < 0.85:
            made[other_key(rng, key)] = made[key]
        else:
            del made[key]
    return made


def forge(fleet: Fleet, manifest: Manifest, state: Mapping[bytes, bytes], **changes: object) -> Manifest:
    """Write a whole checkpoint of these entities, further than any other, with the digest that they have."""
    place = (manifest.stage, manifest.partition)
    position = 1 + max(m.position for m in fleet.topics.manifests if (m.stage, m.partition) == place)
    batch = StateBatch(manifest.catalog, manifest.partition, manifest.life, position, tuple(sorted(state.items())))
    log = fleet.topics.states[place]
    log.append(batch)
    said = {"from_position": position, "from_offset": len(log) - 1, "to_offset": len(log), "position": position}
    made = msgspec.structs.replace(manifest, digest=state_digest(state.items()), **said, **changes)
    fleet.topics.manifests.append(made)
    return made


def take_back(fleet: Fleet, manifest: Manifest) -> None:
    fleet.topics.manifests.remove(manifest)
    fleet.topics.states[manifest.stage, manifest.partition].pop()


def starts(fleet: Fleet, stage: int) -> StageCore:
    """A process of a stage that reads what there is, from where it goes on, and is asked all that a loop asks."""
    made = Instance(world.HEART, stage, fleet.topics, random.Random(0))
    made._take = lambda outputs, _reading=0: list(outputs)
    made._adopt = lambda: False
    while made.turn(50):
        pass
    for partition in range(world.PARTITIONS):
        list(made.core.cuts(partition, -1))
    list(made.core.asides())
    made.core.reports()
    return made.core


@pytest.mark.parametrize("stage", STAGES)
def test_every_checkpoint_that_a_stage_wrote_is_sound(played, stage):
    _, fleet = played
    for manifest in fleet.topics.manifests:
        if manifest.stage == stage:
            found = fleet.topics.restore(manifest)
            assert core(stage).unsound(found.manifest, found.entities) is None, manifest


@pytest.mark.parametrize("stage", STAGES)
def test_no_state_ends_a_stage_and_what_is_refused_counts_as_if_it_were_not_there(played, stage):
    _, fleet = played
    manifest, state = newest(fleet, stage)
    ends = {"taken": 0, "refused": 0}
    for seed in range(4_000 if world.SOAK else 150):
        made = mutated(random.Random(seed), state)
        forged = forge(fleet, manifest, made)
        why = core(stage).unsound(forged, made)
        ends["taken" if why is None else "refused"] += 1
        found = fleet.topics.newest(core(stage), manifest.partition)
        assert (forged in [each.manifest for each in found]) == (why is None)
        starts(fleet, stage)
        take_back(fleet, forged)
    assert min(ends.values()) > 3, ends


def packed(change: Callable[[list], None]) -> Callable[[bytes], bytes]:
    def made(value: bytes) -> bytes:
        plain = msgspec.msgpack.decode(value)
        change(plain)
        return pack(plain)

    return made


def put(at: int, value: object) -> Callable[[bytes], bytes]:
    return packed(lambda plain: plain.__setitem__(at, value))


NO_SET = [9, bytes([9]) * 32]
LANE = entity_key(tags.LANE)


@pytest.mark.parametrize(
    ("stage", "key", "change", "why"),
    [
        (1, LANE, put(5, NO_SET), "pending"),
        (1, LANE, put(0, 7), "in force and not defined"),
        (1, LANE, put(6, bytes([9]) * 32), "control key"),
        (1, LANE, put(7, True), "retired"),
        (1, LANE, put(3, 5), "ends at"),
        (1, LANE, put(2, -2), "Expected `int` >= -1"),
        (2, LANE, put(1, 1 << 63), "Expected `int` <="),
        (3, LANE, lambda _: b"\xc1", "malformed"),
        (4, LANE, put(0, world.FIRST + 5), "is closed"),
        (4, LANE, put(1, b"short"), "Expected `bytes` of length"),
    ],
)
def test_what_entities_say_of_each_other_holds(played, stage, key, change, why):
    _, fleet = played
    manifest, state = newest(fleet, stage)
    assert why in (core(stage).unsound(manifest, {**state, key: change(state[key])}) or "")


@pytest.mark.parametrize(("stage", "tag"), [(1, tags.MARKET), (2, tags.MARKET), (3, tags.MARKET), (4, tags.LEAF)])
def test_the_bytes_of_one_market_do_not_stand_at_the_key_of_another(played, stage, tag):
    _, fleet = played
    manifest, state = newest(fleet, stage)
    first, second = sorted(key for key in state if key[0] == tag)[:2]
    assert "another one's key" in (core(stage).unsound(manifest, {**state, first: state[second]}) or "")


def test_a_leaf_that_cannot_be_encoded_is_no_entity_of_a_bundle(played):
    _, fleet = played
    manifest, state = newest(fleet, 4)
    key = next(key for key in sorted(state) if key[0] == tags.LEAF)
    spoil = packed(lambda plain: plain[1].__setitem__(5, 60_000))
    assert "risk" in (core(4).unsound(manifest, {**state, key: spoil(state[key])}) or "")


def test_events_of_a_source_that_were_never_counted_are_not_remembered():
    log = opened()
    log.toss("penny", True, log.now_ms, source="crowd")
    log.end(world.FIRST + 1)
    fleet = Fleet(world.HEART)
    fleet.write(log.records)
    fleet.run_until_idle()
    found = [fleet.topics.restore(m) for m in fleet.topics.manifests if m.stage == 1]
    manifest, state, _ = next(each for each in reversed(found) if any(key[0] == tags.ID_NEXT for key in each.entities))
    key = next(key for key in state if key[0] == tags.ID_NEXT)
    assert core(1).unsound(manifest, state) is None
    assert "bytes of 9 events" in (core(1).unsound(manifest, {**state, key: (9).to_bytes(8, "big")}) or "")


@pytest.mark.parametrize("stage", STAGES)
def test_a_state_of_a_release_that_is_not_here_is_for_others_to_judge_and_ends_nobody(played, stage):
    _, fleet = played
    manifest, state = newest(fleet, stage)
    for seed in range(40):
        made = mutated(random.Random(seed), state)
        forged = forge(fleet, manifest, made, release=bytes([77]) * 32, following=ZERO)
        assert core(stage).unsound(forged, made) is None
        starts(fleet, stage)
        take_back(fleet, forged)


def refused(fleet: Fleet) -> Iterable[str]:
    return {reason for reason in fleet.parked() if "is none" in reason}


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_new_life_from_entities_that_make_no_state_parks_the_lane_and_a_better_one_repairs_it(stage):
    log, fleet = begun(1)
    known = next(
        m for m in fleet.topics.manifests if (m.stage, m.partition, m.epoch_id) == (stage, LANES[0], world.FIRST + 2)
    )
    state = fleet.topics.restore(known).entities
    forged = forge(fleet, known, {**state, LANE: b"\xc1"})
    where, behind = fleet.topics.roots(LANES[0], world.FIRST + 2)
    where[stage - 1] = forged.digest
    since = len(log.records)
    log.rebase(LANES[0], world.FIRST + 2, where, behind)
    fleet.write(log.records[since:])
    fleet.run_until_idle()
    (reason,) = refused(fleet)
    assert f"stage {stage}" in reason
    assert "m0 lane rebase coins" in reason
    fleet.topics.manifests.remove(forged)
    since = len(log.records)
    rebase(log, fleet, world.FIRST + 2, world.COINS_RELEASE, LANES[:1], life=2)
    log.end(world.FIRST + 3)
    fleet.write(log.records[since:])
    fleet.run_until_idle()
    assert fleet.parked() == []
    assert ("coins", world.FIRST + 3) in fleet.topics.headers()
