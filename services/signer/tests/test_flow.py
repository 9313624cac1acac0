import msgspec
import pytest
from m0_signer.flow import EVERYBODY, Do, View, next_step
from m0chain.accounts import Catalog, Epoch, EpochStatus, Tally
from solders.pubkey import Pubkey

KEY = Pubkey.new_unique()
MINE, OTHER = b"m" * 32, b"o" * 32
# epoch 7 of 10 ms windows: [70, 80), commits until 100, reveals until 130
CATALOG = Catalog(
    version=1, bump=1, catalog="sports", signer_set_id=1, epoch_ms=10, commit_ms=20, reveal_ms=30,
    last_finalized_epoch=0, finalized_count=0, ring_head=0, ring=[], peaks=[],
)  # fmt: skip
EPOCH = Epoch(
    version=1, bump=1, catalog="sports", epoch_id=7, status=EpochStatus.OPEN, signer_set_id=1, count=3, threshold=2,
    opener=KEY, window_start_ms=70, window_end_ms=80, commit_deadline_ms=100, reveal_deadline_ms=130, committed=0,
    revealed=0, finalized_tally=255, finalized_slot=0, commitments=[MINE, OTHER, OTHER], tallies=[],
)  # fmt: skip
replace = msgspec.structs.replace
QUORUM = [Tally(b"b" * 32, b"r" * 32, 3, 0b11)]


def step(now_ms, *, catalog=CATALOG, earlier=(), **fields):
    epoch = replace(EPOCH, **fields) if fields.pop("exists", True) else None
    made = next_step(View(epoch, catalog, now_ms, earlier), 7, 1, 0, MINE)
    return (made.do, made.why) if made.do is not Do.WAIT else (made.do, made.until_ms)


FINAL_LATER = replace(CATALOG, finalized_count=3, last_finalized_epoch=8)


@pytest.mark.parametrize(
    ("now_ms", "expected"),
    [
        (79, (Do.WAIT, 80)),
        (80, (Do.OPEN, "not open")),
        (100, (Do.OPEN, "not open")),
        (101, (Do.DONE, "not_opened_in_time")),
    ],
)
def test_an_absent_epoch_is_opened_between_its_end_and_the_commit_deadline(now_ms, expected):
    made = next_step(View(None, CATALOG, now_ms), 7, 1, 0, MINE)
    assert (made.do, made.until_ms if made.do is Do.WAIT else made.why) == expected


def test_an_absent_epoch_older_than_the_last_final_one_is_over():
    assert next_step(View(None, FINAL_LATER, 90), 7, 1, 0, MINE).why == "superseded"


def test_commits_go_out_until_the_deadline_and_not_after():
    assert step(100, committed=0b110) == (Do.COMMIT, "not committed")
    assert step(101, committed=0b110) == (Do.WAIT, 131)
    assert step(131, committed=0b110) == (Do.DONE, "missed_commit")


def test_reveals_wait_for_all_commits_or_the_deadline():
    assert step(90, committed=0b011) == (Do.WAIT, 101)
    assert step(100, committed=0b011) == (Do.WAIT, 101)
    assert step(101, committed=0b011) == (Do.REVEAL, "not revealed")
    assert step(90, committed=0b111) == (Do.REVEAL, "not revealed")
    assert step(131, committed=0b111) == (Do.DONE, "missed_reveal")


def test_a_commitment_that_is_not_ours_under_our_key_ends_the_epoch():
    assert step(90, committed=0b111, commitments=[OTHER] * 3) == (Do.DONE, "foreign_commitment_hash")


def test_a_quorum_is_finalized_even_by_a_signer_that_missed_its_own_part():
    assert step(90, committed=0b111, revealed=0b011, tallies=QUORUM) == (Do.FINALIZE, "quorum")
    assert step(110, committed=0b110, revealed=0b110, tallies=QUORUM) == (Do.FINALIZE, EVERYBODY)
    assert step(500, committed=0b111, revealed=0b011, tallies=QUORUM) == (Do.FINALIZE, "quorum")


def test_a_quorum_says_whether_reveals_are_still_missing():
    everybody = step(90, committed=0b011, revealed=0b011, tallies=QUORUM)
    assert everybody == (Do.FINALIZE, EVERYBODY)


def test_without_a_quorum_the_epoch_is_over_after_the_reveal_deadline():
    assert step(130, committed=0b111, revealed=0b001) == (Do.WAIT, 131)
    assert step(131, committed=0b111, revealed=0b001) == (Do.DONE, "no_quorum")


def test_an_older_epoch_that_can_still_become_final_goes_first():
    done = {"committed": 0b111, "revealed": 0b111, "tallies": QUORUM}
    older = replace(EPOCH, epoch_id=6, reveal_deadline_ms=120)
    assert step(110, earlier=(older,), **done) == (Do.WAIT, 121)
    assert step(121, earlier=(older,), **done) == (Do.FINALIZE, EVERYBODY)
    assert step(121, earlier=(replace(older, tallies=QUORUM),), **done)[0] is Do.WAIT


def test_final_expired_and_superseded_epochs_are_over():
    assert step(90, status=EpochStatus.FINALIZED) == (Do.DONE, "finalized")
    assert step(90, status=EpochStatus.EXPIRED) == (Do.DONE, "expired")
    done = {"committed": 0b111, "revealed": 0b111, "tallies": QUORUM}
    assert step(90, catalog=FINAL_LATER, **done) == (Do.DONE, "superseded")


def test_an_epoch_opened_under_another_set_is_left_alone():
    assert step(90, signer_set_id=2) == (Do.DONE, "signer_set_changed")
