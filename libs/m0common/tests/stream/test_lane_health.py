"""Lanes that are parked, that are behind, and that nobody runs: told by markers that go by while no manifest comes."""

import msgspec
import pytest
from m0common.canonical import ZERO
from m0common.ids import Lane
from m0common.messages import Manifest
from m0common.stream.core import LaneReport
from m0common.stream.lane_health import LaneHealth

LANE, RELEASE = Lane("coins", 3), bytes([7]) * 32
INSTALL = f"coins/3: nobody runs it: install release {RELEASE.hex()} (catalog coins)"
RUNNING = LaneReport(LANE, 1, 0, 9, 0, 0, 0, ZERO, False, None)
PASSED = RUNNING._replace(lacks=RELEASE)


def manifest(epoch_id: int | None, partition: int = LANE.partition) -> Manifest:
    base = Manifest(1, "coins", partition, 0, 1, 5, None, ZERO, 0, 0, (), None, 0, 0, 0, 1, ZERO, ZERO, 0, 0)
    return msgspec.structs.replace(base, epoch_id=epoch_id)


def heard(*manifests: Manifest, silent_s: float = 60) -> LaneHealth:
    """What is heard at second 100 and then, until second 100 + `silent_s`, no more."""
    health = LaneHealth(60, 30)
    health.hear([LANE], manifests, 100)
    health.hear([LANE], [], 100 + silent_s)
    return health


def test_a_lane_is_run_by_nobody_when_three_markers_went_by_and_nothing_was_heard_of_it():
    assert heard().notes([PASSED._replace(due=10)]) == INSTALL
    assert heard(manifest(9)).notes([PASSED._replace(due=10)]) == INSTALL
    assert heard(manifest(None)).notes([PASSED._replace(due=10)]) == INSTALL


def test_a_lane_that_closes_its_epochs_or_was_heard_of_lately_is_run_by_somebody():
    assert heard(manifest(10)).notes([PASSED._replace(due=10)]) is None
    assert heard(manifest(9), silent_s=59).notes([PASSED._replace(due=10)]) is None


def test_while_too_few_markers_went_by_nothing_is_said():
    assert heard().notes([PASSED]) is None


def test_what_is_heard_of_another_lane_says_nothing():
    assert heard(manifest(10, partition=4)).notes([PASSED._replace(due=10)]) == INSTALL


def test_a_lane_that_is_passed_over_anew_is_given_time_again():
    health = heard()
    health.hear([], [], 200)
    health.hear([LANE], [], 300)
    assert health.notes([PASSED._replace(due=10)]) is None


def test_a_lane_that_runs_here_and_one_that_is_parked_are_not_somebody_elses():
    parked = RUNNING._replace(lane=Lane("coins", 4), parked="it expects message 7")
    health = heard()
    assert health.nobody_runs([RUNNING, parked]) == []
    assert health.notes([parked, PASSED._replace(due=10)]) == f"coins/4: it expects message 7; {INSTALL}"


def test_a_stage_is_ready_while_a_lane_that_has_not_ended_is_not_parked():
    parked, ended = RUNNING._replace(parked="a hole"), RUNNING._replace(retired=True)
    health = LaneHealth(60, 30)
    assert health.ready([parked, RUNNING]) is None
    assert health.ready([parked, ended]) == "every lane is parked: a hole"
    assert health.ready([ended]) is None
    assert health.ready([PASSED._replace(due=10)]) is None


def test_the_release_to_install_is_the_one_that_others_came_to_not_the_one_that_was_passed_over_first():
    newer = msgspec.structs.replace(manifest(9), following=bytes([8]) * 32)
    older = msgspec.structs.replace(manifest(8), following=bytes([9]) * 32, position=4)
    assert heard(newer, older).notes([PASSED._replace(due=10)]) == INSTALL.replace("07" * 32, "08" * 32)


def test_of_many_lanes_the_notes_name_a_few_and_first_those_that_have_ever_said_anything():
    unknown = [RUNNING._replace(lane=Lane(f"a{n:04}", 1), parked="x" * 200) for n in range(3_000)]
    known = [RUNNING._replace(lane=Lane("coins", n), parked="it expects message 7", seq=9) for n in range(3)]
    notes = LaneHealth(60, 30).notes([*unknown, *known]) or ""
    assert notes.startswith("coins/0: it expects message 7; coins/1: it expects message 7; coins/2: ")
    assert notes.endswith("; and 2987 lanes more")
    assert len(notes) < 5_000


def lagging(*seen: tuple[float, int, int]) -> str | None:
    """The notes about the lane after so many looks: at a second, the next offset and the end of its partition."""
    health = LaneHealth(60, 30)
    for at_s, position, end in seen:
        health.lags.see({LANE.partition: (position, end)}, at_s)
    return health.notes([RUNNING])


def test_a_lane_is_behind_when_messages_that_were_there_long_ago_are_not_read_yet():
    assert lagging((0, 0, 10), (30, 9, 10)) is None
    assert lagging((0, 0, 10), (31, 9, 10)) == "coins/3: it is 31 s behind its input: see what writes so much to it"
    assert lagging((0, 0, 10), (31, 10, 900)) is None


def test_a_lane_that_is_as_far_behind_all_the_time_is_told_so_all_the_time():
    looks = [(at_s, max(0, at_s - 100) * 50, at_s * 50) for at_s in range(0, 1_000, 5)]
    for count in range(40, len(looks)):
        assert "it is 95 s behind" in (lagging(*looks[:count]) or "")


def test_a_lane_that_keeps_up_or_has_nothing_to_read_is_not_behind():
    assert lagging(*((at_s, at_s * 50, at_s * 50 + 49) for at_s in range(0, 1_000, 5))) is None
    assert lagging((0, 10, 10), (500, 10, 10)) is None


@pytest.mark.parametrize("position", [2, 5, 9])
def test_what_was_seen_of_a_topic_is_forgotten_with_it_when_a_shorter_one_takes_its_place(position):
    before = [(at_s, 900, 1_000 + at_s) for at_s in range(0, 100, 5)]
    assert "95 s behind" in (lagging(*before) or "")
    assert lagging(*before, (100, position, 5), (130, position, 5)) is None
    # what waits in the new one is told from when it was seen there
    told = lagging(*before, (100, position, 5), (131, position, 5))
    assert told == ("coins/3: it is 31 s behind its input: see what writes so much to it" if position < 5 else None)


def test_a_lane_that_is_parked_is_not_called_behind_and_a_partition_handed_over_is_forgotten():
    health = LaneHealth(60, 30)
    for at_s in (0, 100):
        health.lags.see({LANE.partition: (0, 10)}, at_s)
    assert health.notes([RUNNING._replace(parked="a hole")]) == "coins/3: a hole"
    health.lags.see({}, 101)
    health.lags.see({LANE.partition: (0, 10)}, 102)
    assert health.notes([RUNNING]) is None
