"""Catalogs seen and changed through the log, on a broker in memory with real keys."""

import asyncio

import pytest
from catalog_world import CONTROL, EPOCH_MS, GENESIS, RELEASE, World
from m0common.clock import ManualClock
from m0common.deployment import Deployment
from m0common.errors import SettingsError, Unavailable
from m0replay.catalog_changes import lanes_of
from m0replay.control_keys import certify
from solders.keypair import Keypair

OTHER = "cd" * 32


class HurryingClock(ManualClock):
    """A hundred seconds pass between two looks at it."""

    def monotonic_ms(self):
        self.advance(100_000)
        return super().monotonic_ms()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def define(world, name="sports", key=CONTROL):
    """Write a catalog's set as its files have it; the payload."""
    desk = await world.desk()
    payload = desk.composed(name)
    await desk.put(payload, key)
    return payload


async def in_force(world, name="sports"):
    return (await world.desk()).log.standing(name).in_force


async def test_the_same_signed_bytes_go_into_every_lane_of_the_catalog(world):
    payload = await define(world)
    found = world.sets("sports")
    assert sorted(found) == sorted(set(lanes_of(payload).values()))
    records = [record for records in found.values() for record in records]
    assert all(record == records[0] for record in records)
    first = records[0]
    assert (first["source"], first["source_event_id"], first["group"]) == ("control", "sports:1", "")
    assert first["event_ms"] == first["received_ms"] == world.clock.now_ms()
    assert len(first["signature"]) == 128


async def test_a_set_is_in_force_once_a_marker_names_it_and_not_before(world):
    payload = await define(world)
    standing = (await world.desk()).log.standing("sports")
    assert (standing.in_force, standing.ready) == (None, payload)
    await world.mark("sports", 7)
    assert await in_force(world) == payload


async def test_groups_that_move_are_told_in_old_and_new_lanes(world):
    before = await define(world)
    await world.mark("sports", 7)
    world.groups("sports", "at.1", "de.1")
    after = await define(world)
    assert after.generation == 2
    told = {lane for lane, records in world.sets("sports").items() if records[-1]["payload"]["generation"] == 2}
    assert told == {*lanes_of(before).values(), *lanes_of(after).values()}
    await world.mark("sports", 8)
    assert await in_force(world) == after


async def test_a_plan_names_what_changes_and_what_closes_and_writes_nothing(world):
    before = await define(world)
    await world.mark("sports", 7)
    await world.open_market("sports", "M1", "es.1", lanes_of(before)["es.1"])
    await world.open_market("sports", "M2", "eng.1", lanes_of(before)["eng.1"])
    world.groups("sports", "eng.1")
    world.guardrails("sports", "limit = 5")
    desk, size = await world.desk(), {k: len(v) for k, v in world.sets("sports").items()}
    plan = desk.plan(desk.composed("sports"))
    assert plan.changes == [("groups.es.1", lanes_of(before)["es.1"], None), ("params.limit", None, 5)]
    assert plan.closes == ["M1"]
    assert {k: len(v) for k, v in world.sets("sports").items()} == size


async def test_what_is_in_force_already_changes_nothing(world):
    await define(world)
    await world.mark("sports", 7)
    desk = await world.desk()
    assert desk.plan(desk.composed("sports")).changes == []


@pytest.mark.parametrize("passed_ms", [1, 0, -300_000], ids=["a clock that goes on", "the same ms", "a clock behind"])
async def test_a_second_set_of_a_generation_takes_the_place_of_the_first(world, passed_ms):
    await define(world)
    world.groups("sports", "it.1", "eng.1", "es.1")
    world.clock.advance(passed_ms)
    second = await define(world)
    assert second.generation == 1
    world.clock.advance(1)
    await world.mark("sports", 7)
    assert await in_force(world) == second


async def test_a_group_of_another_catalog_is_refused(world):
    await define(world)
    world.groups("crypto", "btc", "eng.1")
    with pytest.raises(SettingsError, match=r"catalog crypto: group 'eng\.1' belongs to catalog sports"):
        await define(world, "crypto")


async def test_a_retired_catalog_has_no_lanes_and_its_groups_are_free(world):
    await define(world)
    await world.mark("sports", 7)
    desk = await world.desk()
    await desk.put(desk.retired("sports"), CONTROL)
    await world.mark("sports", 8)
    ended = await in_force(world)
    assert (ended.generation, ended.retired, ended.groups) == (2, True, ())
    desk = await world.desk()
    assert desk.plan(desk.retired("sports")).changes == []
    world.groups("crypto", "eng.1")
    await define(world, "crypto")


async def test_a_retired_catalog_can_be_opened_again(world):
    await define(world)
    await world.mark("sports", 7)
    desk = await world.desk()
    await desk.put(desk.retired("sports"), CONTROL)
    await world.mark("sports", 8)
    again = await define(world)
    assert again.generation == 3
    assert sorted(world.sets("sports")) == sorted(set(lanes_of(again).values()))


async def test_a_release_that_is_not_installed_must_be_named(world):
    desk = await world.desk()
    payload = desk.composed("sports", release=OTHER)
    assert payload.release == OTHER
    with pytest.raises(SettingsError, match=f"release {OTHER} is not installed here .{RELEASE}"):
        await desk.put(payload, CONTROL)
    await desk.put(payload, CONTROL, [OTHER])


async def test_a_set_that_lanes_would_refuse_is_not_written(world):
    desk = await world.desk()
    with pytest.raises(SettingsError, match=r"sports:1 is not written, lanes would refuse it: .*`\$\.release`"):
        await desk.put(desk.composed("sports", release="zz"), CONTROL, ["zz"])
    assert world.sets("sports") == {}


async def test_a_plan_of_what_lanes_would_refuse_says_so_in_their_words(world):
    await define(world)
    await world.mark("sports", 7)
    path = world.config / "markets/sports.toml"
    path.write_text(path.read_text().replace("signer_set_id = 1", "signer_set_id = 99999999999"))
    desk = await world.desk()
    sentence = (
        r"sports:2 is not written, lanes would refuse it: .*signer_set_id 99999999999 is no u32 of a header, "
        r"give one from 0 to 4294967295"
    )
    with pytest.raises(SettingsError, match=sentence):
        desk.plan(desk.composed("sports"))


async def test_more_sets_than_may_wait_are_refused_until_a_marker_comes(world):
    await define(world)
    await world.mark("sports", 7)
    for limit in range(16):
        world.guardrails("sports", f"limit = {limit}")
        await define(world)
    world.guardrails("sports", "limit = 16")
    with pytest.raises(SettingsError, match=r"sports:2 is not written, .* 16 sets of sports/\d wait to take force"):
        await define(world)
    await world.mark("sports", 8)
    assert (await define(world)).generation == 3


async def test_a_key_that_nobody_vouches_for_signs_nothing(world):
    with pytest.raises(SettingsError, match=r"control key .* is not the deployment's"):
        await define(world, key=Keypair())
    assert world.sets("sports") == {}


async def test_the_key_that_the_old_one_certified_takes_over(world):
    desk, new = await world.desk(), Keypair()
    certificate = certify(CONTROL, bytes(new.pubkey()), GENESIS)
    with_word = desk.composed("sports", certificates=[certificate])
    with pytest.raises(SettingsError, match=r"control key .* was replaced by"):
        await desk.put(with_word, CONTROL)
    await desk.put(with_word, new)
    await world.mark("sports", 7)
    world.groups("sports", "eng.1")
    with pytest.raises(SettingsError, match=r"control key .* was replaced by"):
        await define(world, key=CONTROL)
    second = await define(world, key=new)
    assert second.certificates == (certificate,)
    await world.mark("sports", 8)
    assert await in_force(world) == second


async def test_the_control_key_is_handed_on_twice_and_the_last_one_signs(world):
    await define(world)
    await world.mark("sports", 7)
    second, third = Keypair(), Keypair()
    to_second = certify(CONTROL, bytes(second.pubkey()), GENESIS)
    to_third = certify(second, bytes(third.pubkey()), GENESIS)
    for epoch, (key, given) in enumerate([(second, [to_second]), (third, [to_second, to_third])], start=8):
        desk = await world.desk()
        await desk.put(desk.composed("sports", certificates=given), key)
        await world.mark("sports", epoch)
    now = await in_force(world)
    assert (now.generation, now.certificates) == (3, (to_second, to_third))
    assert (await world.desk()).log.key("sports", third).certificates == (to_second, to_third)


async def test_another_count_of_partitions_than_the_logs_is_refused(world):
    await world.desk()
    world.deployment = Deployment(GENESIS, bytes(CONTROL.pubkey()), 4)
    with pytest.raises(SettingsError, match=r"has 8 partitions and the settings say 4: .*kafka\.partitions = 8"):
        await world.desk()


async def test_waiting_ends_with_the_marker(world):
    desk = await world.desk()
    payload = desk.composed("sports")
    await desk.put(payload, CONTROL)
    waiting = asyncio.create_task(desk.log.wait_in_force(payload, 30))
    await asyncio.sleep(0)
    await world.mark("sports", 7)
    await asyncio.wait_for(waiting, 60)


async def test_waiting_in_vain_says_what_did_not_come(world):
    world.clock = HurryingClock()
    desk = await world.desk()
    payload = desk.composed("sports")
    await desk.put(payload, CONTROL)
    with pytest.raises(Unavailable, match=r"after 50 s no marker names generation 1: .*epoch clock"):
        await desk.log.wait_in_force(payload, 50)


async def test_waiting_for_a_set_that_another_one_beat_says_so(world):
    desk = await world.desk()
    mine = desk.composed("sports")
    await desk.put(mine, CONTROL)
    world.groups("sports", "eng.1")
    world.clock.advance(1)
    await define(world)
    await world.mark("sports", 7)
    with pytest.raises(SettingsError, match="another set of generation 1 came first"):
        await desk.log.wait_in_force(mine, 50)


async def test_another_length_of_epochs_is_refused(world):
    await define(world)
    await world.mark("sports", 7)
    path = world.config / "markets" / "sports.toml"
    path.write_text(path.read_text().replace(str(EPOCH_MS), "60000"))
    with pytest.raises(SettingsError, match="epoch_ms = 60000 and the log has 20000"):
        await define(world)


async def test_what_the_log_does_not_have_cannot_be_retired(world):
    with pytest.raises(SettingsError, match=r"the log has no catalog sports: there is none$"):
        (await world.desk()).retired("sports")
    await define(world)
    with pytest.raises(SettingsError, match=r"the log has no catalog sprots: did you mean sports\?"):
        (await world.desk()).retired("sprots")
    with pytest.raises(SettingsError, match=r"the log has no catalog nope: there is sports$"):
        (await world.desk()).retired("nope")


async def test_where_the_keys_of_sources_are_not_their_set_keeps_them(world):
    first = await define(world)
    await world.mark("sports", 7)
    (world.keys / "clock.json").unlink()
    there = Keypair.from_seed(bytes([9]) * 32)
    (world.keys / "registry.json").write_text(str(list(bytes(there))))
    found = (await world.desk()).composed("sports", release=OTHER)
    assert (found.release, found.sources["clock"]) == (OTHER, first.sources["clock"])
    assert found.sources["registry"].key == bytes(there.pubkey()).hex(), "a file that is here counts"


async def test_a_source_that_nobody_has_a_key_of_is_refused(world):
    (world.keys / "clock.json").unlink()
    with pytest.raises(SettingsError, match=r"clock\.key = true, but there is no key file clock\.json"):
        (await world.desk()).composed("sports")
