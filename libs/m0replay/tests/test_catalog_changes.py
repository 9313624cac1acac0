"""What a new generation changes, whether it may, and which one is written: pure functions over sets."""

import msgspec
import pytest
from catalog_world import DOMAIN, PARTITIONS, RELEASE
from m0common.errors import SettingsError
from m0lanes.control import CatalogSetPayload, DomainRef, SourceRule
from m0replay.catalog_changes import (
    Standing,
    check,
    closing,
    differences,
    in_season,
    lanes_of,
    lanes_to_write,
    next_set,
    retired_set,
    season_set,
)

OLD, NEW, OTHER = "aa" * 32, RELEASE, "cc" * 32
BASE = CatalogSetPayload(
    catalog="sports",
    generation=1,
    partitions=PARTITIONS,
    epoch_ms=20_000,
    domain=DomainRef(DOMAIN.name, DOMAIN.distribution, DOMAIN.version),
    release=NEW,
    model="football",
    params={"signer_set_id": 1, "limit": 0},
    horizon_ms=600_000,
    groups=("eng.1", "es.1"),
    sources={"clock": SourceRule(("epoch_end",), "11" * 32)},
)


def changed(**fields):
    return msgspec.structs.replace(BASE, **fields)


def test_sets_that_differ_in_the_generation_alone_do_not_differ():
    assert differences(BASE, changed(generation=9)) == []


def test_every_difference_is_named_with_both_values():
    after = changed(
        groups=("eng.1", "it.1"),
        params={"signer_set_id": 2, "limit": 0},
        release=OTHER,
        sources={"clock": SourceRule(("epoch_end",), "22" * 32)},
    )
    lanes = lanes_of(BASE) | lanes_of(after)
    assert differences(BASE, after) == [
        ("groups.es.1", lanes["es.1"], None),
        ("groups.it.1", None, lanes["it.1"]),
        ("params.signer_set_id", 1, 2),
        ("release", NEW, OTHER),
        ("sources.clock.key", "11" * 32, "22" * 32),
    ]


def test_a_parameter_of_zero_is_a_parameter():
    assert differences(changed(params={"signer_set_id": 1}), BASE) == [("params.limit", None, 0)]


def test_a_set_is_written_into_every_lane_of_the_old_and_the_new_one():
    after = changed(generation=2, groups=("at.1", "de.1"))
    lanes = {*lanes_of(BASE).values(), *lanes_of(after).values()}
    assert lanes_to_write(Standing(BASE), after) == sorted(lanes)
    assert lanes_to_write(Standing(BASE), retired_set(BASE, 2)) == sorted(set(lanes_of(BASE).values()))
    assert lanes_to_write(Standing(), BASE) == sorted(set(lanes_of(BASE).values()))


def test_a_generation_follows_the_one_in_force():
    assert Standing().next_generation == 1
    assert Standing(None, BASE).next_generation == 1
    assert Standing(changed(generation=4), changed(generation=5)).next_generation == 5


def test_markets_of_groups_that_are_not_named_any_more_close():
    markets = {"A": "eng.1", "B": "es.1", "C": "gone.1"}
    assert closing(BASE, changed(groups=("eng.1",)), markets) == ["B"]
    assert closing(BASE, retired_set(BASE, 2), markets) == ["A", "B"]
    assert closing(None, BASE, markets) == []


NEW_CLOCK = {"clock": SourceRule(("epoch_end",), "22" * 32)}
NEW_LANE = ("at.1", *BASE.groups)


def test_a_new_clock_key_and_a_new_lane_come_one_after_the_other():
    with pytest.raises(SettingsError, match="two sets, one after the other"):
        check(changed(generation=2, groups=NEW_LANE, sources=NEW_CLOCK), Standing(BASE), {}, PARTITIONS, {NEW})
    rekeyed = changed(generation=2, sources=NEW_CLOCK)
    check(rekeyed, Standing(BASE), {}, PARTITIONS, {NEW})
    check(changed(generation=3, groups=NEW_LANE, sources=NEW_CLOCK), Standing(rekeyed), {}, PARTITIONS, {NEW})


def test_a_new_lane_and_a_second_clock_may_come_together():
    both = BASE.sources | {"clock_b": SourceRule(("epoch_end",), "22" * 32)}
    check(changed(generation=2, groups=NEW_LANE, sources=both), Standing(BASE), {}, PARTITIONS, {NEW})


def test_a_catalog_that_begins_or_returns_has_no_clock_before_to_agree_with():
    check(BASE, Standing(), {}, PARTITIONS, {NEW})
    returned = changed(generation=3, sources=NEW_CLOCK)
    check(returned, Standing(retired_set(BASE, 2)), {}, PARTITIONS, {NEW})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"partitions": 4}, "settings say 4 partitions and the log has 8"),
        ({"epoch_ms": 60_000}, "epoch_ms = 60000 and the log has 20000: .* fixed for a catalog's life"),
        ({"groups": ("btc", "eng.1")}, "group 'btc' belongs to catalog crypto"),
        ({"release": OTHER}, f"release {OTHER} is not installed here .*--release {OTHER}"),
    ],
)
def test_a_set_that_may_not_be_written_is_refused(fields, sentence):
    others = {"crypto": changed(catalog="crypto", groups=("btc",))}
    with pytest.raises(SettingsError, match=f"catalog sports: .*{sentence}"):
        check(changed(generation=2, **fields), Standing(BASE), others, PARTITIONS, {NEW})
    check(changed(generation=2), Standing(BASE), others, PARTITIONS, {NEW})


def test_the_groups_of_a_retired_catalog_are_free():
    others = {"crypto": retired_set(changed(catalog="crypto", groups=("btc",)), 2)}
    check(changed(groups=("btc",)), Standing(), others, PARTITIONS, {NEW})


def test_until_a_set_is_in_force_the_length_of_epochs_may_be_mended():
    check(changed(epoch_ms=1_000), Standing(None, BASE), {}, PARTITIONS, {NEW})


def test_the_first_set_is_written_as_composed():
    assert next_set(None, BASE, {NEW}).payload == BASE


def test_nothing_is_written_when_nothing_changes():
    decided = next_set(BASE, changed(generation=2), {NEW})
    assert decided.payload is None
    assert "nothing to change" in decided.why


def test_a_changed_file_is_a_new_generation_that_says_what_changes():
    decided = next_set(BASE, changed(generation=2, horizon_ms=1_000), {NEW})
    assert decided.payload == changed(generation=2, horizon_ms=1_000)
    assert decided.why == "sports: generation 2 changes horizon_ms"


def test_a_release_that_is_gone_gives_way_to_the_installed_one():
    decided = next_set(changed(release=OLD), changed(generation=2), {NEW})
    assert decided.payload == changed(generation=2)
    assert OLD[:12] in decided.why
    assert NEW[:12] in decided.why


def test_a_release_that_is_gone_stays_where_nobody_asked_for_another():
    assert next_set(changed(release=OLD), changed(generation=2), {NEW}, auto_release=False).payload is None
    decided = next_set(changed(release=OLD), changed(generation=2, horizon_ms=1_000), {NEW}, auto_release=False)
    assert decided.payload == changed(generation=2, horizon_ms=1_000, release=OLD)


def test_a_release_in_force_stays_while_it_is_installed():
    assert next_set(changed(release=OLD), changed(generation=2), {OLD, NEW}).payload is None


def test_a_retired_catalog_stays_retired():
    decided = next_set(retired_set(BASE, 2), changed(generation=3), {NEW})
    assert decided.payload is None
    assert "m0 catalog set sports" in decided.why


def test_a_new_season_takes_the_place_of_the_former_and_leaves_other_groups():
    now = changed(groups=("btc", "eng.1", "es.1"))
    second = season_set(now, ("eng.1~2", "es.1~2"), 2)
    assert (second.generation, second.groups) == (2, ("btc", "eng.1~2", "es.1~2"))
    assert season_set(second, ("eng.1~3", "es.1~3"), 3).groups == ("btc", "eng.1~3", "es.1~3")


def test_there_is_no_way_back_to_a_former_season():
    now = changed(groups=("eng.1~3", "es.1~3"))
    assert season_set(now, ("eng.1~3", "es.1~3"), 2) is None
    assert season_set(now, ("eng.1~2", "es.1~2"), 2) is None
    assert season_set(changed(groups=now.groups, retired=True), ("eng.1~4", "es.1~4"), 3) is None


def test_a_season_brings_no_group_that_the_catalog_never_had():
    with pytest.raises(SettingsError, match=r"no season of it had the group 'it\.1'"):
        season_set(BASE, ("eng.1~2", "it.1~2"), 2)


def test_the_files_follow_the_season_that_the_log_has_reached():
    now = changed(groups=("eng.1~3", "es.1~3"))
    assert in_season(now, changed(groups=("eng.1", "it.1"))).groups == ("eng.1~3", "it.1")
    assert in_season(None, BASE) == BASE
