"""Two builds on one log, on every broker: forth, back, and every epoch replayed by who has its release."""

import lanes_world as world
import pytest
from m0common.canonical import BundleHeader
from m0common.clock import system_clock
from m0common.errors import SettingsError
from m0replay.replay import replay_epoch
from m0replay.rolled import Rolled
from two_builds_world import NEW, OLD, groups_of, happens, id_of, look, say, write_files


async def test_a_release_goes_forth_and_back_without_a_missed_epoch_and_each_matches(stages, tmp_path):
    log, clock, manned = world.season(2, first=stages.first), system_clock("dev"), groups_of(OLD)
    write_files(tmp_path, log)
    await stages.write(log.records)
    stages.start(heart=OLD)
    await stages.until_closed(stages.first + 1)
    with pytest.raises(SettingsError, match="install it beside what runs"):
        (await look(stages.broker, clock, tmp_path, NEW, manned)).switches()
    stages.start("normalize:2", "feature:2", "model:2", "bundle:2", heart=NEW)
    manned |= groups_of(NEW)

    async def final(_catalog: str, epoch_id: int) -> tuple[bytes, bytes] | None:
        message = (await stages.messages()).get(epoch_id)
        header = None if message is None else BundleHeader.decode(message.header)
        return None if header is None else (header.merkle_root, header.bundle_hash)

    async def rolls(steps_of, generation: int, index: int) -> None:
        """Epoch `index` puts it in force, the one behind it is the first of it."""
        rollout = await look(stages.broker, clock, tmp_path, NEW, manned)
        (step,) = steps_of(rollout)
        await say(rollout, [step], log)
        await stages.write(happens(log, index, generation))
        await stages.until_closed(stages.first + index)
        await stages.write(happens(log, index + 1))
        rolled = Rolled(stages.broker, rollout.desk.log, rollout.states, final, clock, 60)
        await rolled.in_force(step.plan.payload)
        await rolled.taken_over(step.plan.payload)
        assert await rolled.final(step.plan.payload) == stages.first + index + 1

    await rolls(lambda rollout: rollout.switches(), 2, 2)
    switched = await look(stages.broker, clock, tmp_path, NEW, manned)
    assert (switched.stays(id_of(OLD)), len(switched.stays(id_of(NEW)))) == ([], 1)
    await rolls(lambda rollout: rollout.ways_back(), 3, 4)
    back = await look(stages.broker, clock, tmp_path, NEW, manned)
    assert (back.stays(id_of(NEW)), len(back.stays(id_of(OLD)))) == ([], 1)
    found = await stages.messages()
    assert sorted(found) == [stages.first + index for index in range(6)]
    assert not any(message.missed for message in found.values())
    for index, heart in enumerate([OLD, OLD, OLD, NEW, NEW, OLD]):
        verdict = await replay_epoch(stages.broker, heart, final, "coins", stages.first + index)
        assert verdict.match, (index, verdict.difference)
