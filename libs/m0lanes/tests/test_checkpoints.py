"""Every promised manifest restores to exactly what its lane was, whatever died, came late, stood still or was cut."""

import os

import msgspec
import pytest
from lanes_store import HORIZON, Rules, World, promised
from m0common.messages import Manifest, StateBatch
from m0common.messages.types import LIFE_END, PARTITIONS_MAX
from m0common.topics import ONCE_MAX_BYTES
from m0lanes.checkpoints import Beginnings, batches, gathered
from m0lanes.entities import Entities, Entry

SOAK = os.environ.get("M0_SOAK") == "1"
HISTORIES = 10_000 if SOAK else 250
SHARES = (4, 64, 2, 4, 1)
"""K by seed. With many the range of a manifest reaches far back, with few it moves on after every trim."""


def run(seed: int, rules: Rules) -> World:
    shares = SHARES[seed % len(SHARES)]
    return World(seed, shares, rules).run(1500 if shares == 64 else 600)


def run_all(histories: int, rules: Rules) -> list[World]:
    return [run(seed, rules) for seed in range(histories)]


@pytest.mark.timeout(3600 if SOAK else 120)
def test_in_any_history_every_promised_manifest_restores_and_no_lane_goes_back():
    worlds = run_all(HISTORIES, Rules())
    # the histories hold what they are there for
    assert sum(world.trims > 0 for world in worlds) > HISTORIES / 2
    assert sum(world.carried > 0 for world in worlds) > HISTORIES / 2
    assert sum(world.late > 0 for world in worlds) > HISTORIES / 10
    assert sum(len(lives) > 1 for world in worlds for lives in world.lanes.values()) > HISTORIES / 2


def without_floor(manifest, found):
    return gathered(msgspec.structs.replace(manifest, from_position=0), found)


def without_ceiling(manifest, found):
    return gathered(msgspec.structs.replace(manifest, position=1 << 62), found)


def last_written(manifest, found):
    state: dict[bytes, bytes | None] = {}
    for batch in found:
        own = (batch.catalog, batch.life) == (manifest.catalog, manifest.life)
        if own and manifest.from_position <= batch.position <= manifest.position:
            state.update(batch.entries)
    return {key: value for key, value in state.items() if value is not None}


def any_life(manifest, found):
    return gathered(manifest, [msgspec.structs.replace(batch, life=manifest.life) for batch in found])


class InheritsNothing(Beginnings):
    restored = False

    def inherit(self, _):
        self.restored = True

    @property
    def whole_next(self):
        return super().whole_next and not self.restored


class OneTooFew(Beginnings):
    def __init__(self, shares):
        super().__init__(max(shares - 2, 0))


class HidesDeletions(Entities):
    def unsaid(self, *, whole):
        return [entry for entry in super().unsaid(whole=whole) if entry.value is not None]


def newest_only(known, newest_window):
    del newest_window
    return promised(known, 1 << 62)


def young_only(known, newest_window):
    return {w for w in known if w.manifest.window_end_ms > newest_window - HORIZON}


@pytest.mark.parametrize(
    ("wrong", "within"),
    [
        pytest.param(Rules(gather=without_floor), 50, id="no position floor"),
        pytest.param(Rules(gather=without_ceiling), 20, id="nothing too new for a manifest"),
        pytest.param(Rules(gather=last_written), 50, id="the last written counts"),
        pytest.param(Rules(gather=any_life), 50, id="a range spans lives"),
        pytest.param(Rules(beginnings=InheritsNothing), 50, id="nothing is inherited from what was restored"),
        pytest.param(Rules(beginnings=OneTooFew), 50, id="the range is one checkpoint short"),
        pytest.param(Rules(entities=HidesDeletions), 50, id="deletions are not said"),
        pytest.param(Rules(keeps=newest_only), 50, id="only the newest is kept"),
        pytest.param(Rules(keeps=young_only), 50, id="what is old goes, though its lane stands still"),
        pytest.param(Rules(notices=False), 50, id="a lane goes on after its past was trimmed"),
        pytest.param(Rules(whole_life=False), 50, id="a life does not begin whole"),
    ],
)
def test_a_wrong_rule_fails_the_same_histories(wrong, within):
    with pytest.raises(AssertionError):
        run_all(within, wrong)


def test_a_lane_that_stands_still_holds_nobodys_log():
    """It is carried forward; without that the log would grow behind it for ever."""
    sizes = {}
    for carries in (True, False):
        world = World(7, 2, Rules(carries=carries))
        quiet = next(iter(world.lanes))
        world.run(200)
        world.silent[quiet] = 1 << 62
        world.run(3000)
        log = world.logs[quiet.stage]
        sizes[carries] = len(log.batches) - log.begin
        world.check()
    assert sizes[True] < sizes[False] / 4


def test_the_first_checkpoint_of_a_life_is_whole_and_the_range_moves_on_after_k_more():
    beginnings = Beginnings(3)
    assert beginnings.whole_next
    assert beginnings.began(10, 100, whole=True) == (10, 100)
    assert not beginnings.whole_next
    assert [beginnings.began(n, 10 * n, whole=False) for n in (11, 12, 13)] == [(10, 100)] * 3
    assert beginnings.began(14, 140, whole=False) == (11, 110)


def test_after_a_restore_reading_begins_where_the_restored_ones_did_until_k_more_are_written():
    beginnings = Beginnings(2)
    beginnings.inherit(manifest(from_position=5, from_offset=50))
    assert not beginnings.whole_next
    assert [beginnings.began(n, 10 * n, whole=False) for n in (8, 9)] == [(5, 50)] * 2
    assert beginnings.began(10, 100, whole=False) == (8, 80)


def test_a_lane_whose_past_was_trimmed_says_everything_again_and_begins_there():
    beginnings = Beginnings(2)
    beginnings.inherit(manifest(from_position=5, from_offset=50))
    beginnings.trimmed(50)
    assert not beginnings.whole_next
    beginnings.trimmed(51)
    assert beginnings.whole_next
    assert beginnings.began(8, 80, whole=True) == (8, 80)
    beginnings.trimmed(51)
    assert not beginnings.whole_next
    assert beginnings.began(9, 90, whole=False) == (8, 80)
    beginnings.trimmed(85)
    assert beginnings.whole_next


def test_a_checkpoint_that_was_made_before_the_trim_was_heard_of_does_not_hide_it():
    beginnings = Beginnings(2)
    beginnings.began(1, 10, whole=True)
    beginnings.trimmed(11)
    assert beginnings.began(2, 20, whole=False) == (1, 10)
    assert beginnings.whole_next


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_no_message_of_a_checkpoint_is_larger_than_the_limit(count):
    entries = [Entry(b"%04d" % n, None if n % 10 == 0 else bytes(n % 400)) for n in range(count)]
    made = batches("c" * 16, PARTITIONS_MAX - 1, LIFE_END - 1, 1 << 62, entries)
    assert made
    assert max(map(len, made)) <= ONCE_MAX_BYTES
    assert len(made) <= 1 + sum(len(e.key) + len(e.value or b"") + 12 for e in entries) // (ONCE_MAX_BYTES - 1000)
    decoded = [msgspec.msgpack.decode(value, type=StateBatch) for value in made]
    assert [Entry(*entry) for batch in decoded for entry in batch.entries] == entries


def test_the_largest_entities_fit_into_a_message():
    entries = [Entry(b"%d" % n + bytes(1000), bytes(64 << 10)) for n in range(9)]
    assert max(map(len, batches("c", 0, 0, 0, entries))) <= ONCE_MAX_BYTES


def manifest(**changes):
    zero = bytes(32)
    whole = Manifest(
        stage=1, catalog="a", partition=0, life=0, generation=1, position=7, epoch_id=None, digest=zero, out_seq=0,
        input_offset=0, input_seqs=(), held_from=None, held_end=0, from_position=0, from_offset=0, to_offset=0,
        release=zero, build=zero, entities=0, bytes=0,
    )  # fmt: skip
    return msgspec.structs.replace(whole, **changes)
