"""What a pipeline remembers of its own checkpoints."""

import lanes_world as world
import pytest
from m0common.canonical import ZERO, state_digest
from m0common.ids import Lane
from m0common.stream.core import Load
from m0lanes.entities import SHARES
from m0lanes.keeper import Keeper
from m0lanes.pipeline import Pipeline


def kept(records, keeper: Keeper) -> list:
    """The manifests said of these records, all of them whether or not they are still kept."""
    said = []

    def observe(stage, output):
        before = set(keeper.manifests)
        keeper(stage, output)
        said.extend(set(keeper.manifests) - before)

    world.play(records, Pipeline(world.HEART, observer=observe))
    return said


def load(manifest) -> Load:
    return Load(Lane(manifest.catalog, manifest.partition), manifest.stage, 1, manifest.epoch_id, manifest.digest, ZERO)


@pytest.mark.parametrize("epochs", [6, SHARES + 6])
def test_the_newest_checkpoints_of_every_lane_restore_and_older_ones_are_gone(epochs: int):
    keeper = Keeper(3)
    said = kept(world.season(epochs).records, keeper)
    assert all(state_digest(keeper.restored(m).entities.items()) == m.digest for m in keeper.manifests)
    at_markers = {m.epoch_id for m in keeper.manifests if m.stage == 1} - {None}
    assert at_markers == {world.FIRST + epochs - n for n in (1, 2, 3)}
    old = next(m for m in said if (m.stage, m.epoch_id) == (1, world.FIRST))
    assert keeper.load(load(old)) is None


def test_a_state_is_found_by_lane_stage_epoch_and_root():
    keeper = Keeper()
    for manifest in kept(world.season(3).records, keeper):
        if manifest.epoch_id is None or manifest.stage == 4:
            continue
        wanted = load(manifest)
        found = keeper.load(wanted)
        assert state_digest(found.entities.items()) == manifest.digest
        assert keeper.load(wanted._replace(epoch_id=wanted.epoch_id + 9)) is None
        assert keeper.load(wanted._replace(root=bytes([1]) * 32)) is None
        assert keeper.load(wanted._replace(lane=Lane("stamps", manifest.partition))) is None
        assert keeper.load(wanted._replace(root=ZERO)).entities == {}


@pytest.mark.parametrize("most", [None, 2])
def test_a_chain_that_goes_on_from_states_of_the_log_is_kept_from_there_on(most: int | None):
    log = world.season(SHARES + 3)
    whole = Keeper()
    world.play(log.records, Pipeline(world.HEART, observer=whole))
    behind = world.FIRST + 1
    states = [whole.restored(m) for m in whole.manifests if m.epoch_id == behind]
    keeper = Keeper(most)
    pipeline = Pipeline(world.HEART, observer=keeper)
    for found in states:
        keeper.resume(found)
        assert keeper.load(load(found.manifest)).entities == found.entities
    starts = pipeline.restore(states)
    world.play([r for r in log.records if r.offset >= starts.get(r.partition, 1 << 62)], pipeline)
    roots = {(m.stage, m.partition, m.epoch_id): m.digest for m in whole.manifests if m.epoch_id is not None}
    later = [m for m in keeper.manifests if m.epoch_id is not None and m.epoch_id > behind]
    assert max(m.epoch_id for m in later) == world.FIRST + SHARES + 2
    for manifest in later:
        assert state_digest(keeper.restored(manifest).entities.items()) == manifest.digest
        assert manifest.digest == roots[manifest.stage, manifest.partition, manifest.epoch_id]
