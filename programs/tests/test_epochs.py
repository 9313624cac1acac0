"""An epoch from its opening to its end."""

import hashlib
import itertools

import pytest
from m0svm.chain import SYSTEM
from m0svm.oracle import CATALOG, COMMIT_MS, EPOCH_MS, REVEAL_MS, Oracle, bundle
from m0svm.oracle import FIRST_EPOCH as E
from solders.transaction import Transaction

OPEN, COMMITTING, REVEALING, FINALIZED, EXPIRED = range(5)
CLOSES = COMMIT_MS + REVEAL_MS + 60_000


# ---------------------------------------------------------------- opening


def test_anyone_opens_an_epoch_and_its_bounds_follow_from_its_id(oracle):
    oracle.at_end_of(E)
    event = oracle.open(E).ok().event("EpochOpened")
    bounds = {
        "window_start_ms": E * EPOCH_MS,
        "window_end_ms": (E + 1) * EPOCH_MS,
        "commit_deadline_ms": (E + 1) * EPOCH_MS + COMMIT_MS,
        "reveal_deadline_ms": (E + 1) * EPOCH_MS + COMMIT_MS + REVEAL_MS,
    }
    assert event == {"catalog": CATALOG, "epoch_id": E, "signer_set_id": 1, **bounds}
    epoch = oracle.epoch(E)
    assert {n: epoch[n] for n in bounds} == bounds
    assert (epoch["status"], epoch["count"], epoch["threshold"], epoch["finalized_tally"]) == (OPEN, 3, 2, 255)
    assert epoch["opener"] == oracle.sponsor.pubkey()
    assert (epoch["commitments"], epoch["tallies"]) == ([bytes(32)] * 3, [])


@pytest.mark.parametrize(
    ("plus_ms", "error"),
    [(-1000, "WindowNotOver"), (0, None), (COMMIT_MS, None), (COMMIT_MS + 1000, "CommitClosed")],
)
def test_an_epoch_is_opened_from_its_window_end_until_its_commit_deadline(oracle, plus_ms, error):
    oracle.at_end_of(E, plus_ms)
    assert oracle.open(E).send().error == error


def test_an_epoch_not_above_the_last_finalized_one_is_refused(oracle):
    oracle.chain.at((E + 1) * EPOCH_MS)
    slow = b"slow".ljust(16, b"\0")
    oracle.create_catalog(slow).with_args(commit_ms=10 * EPOCH_MS).ok()
    oracle.opened(E)
    oracle.finalized(E + 1)
    oracle.at_end_of(E)
    oracle.open(E).fails("EpochNotNewer")
    oracle.open(E + 1).fails("EpochNotNewer")


def test_an_epoch_is_opened_once(oracle):
    oracle.opened(E)
    oracle.open(E).fails("AlreadyInitialized")


# ---------------------------------------------------------------- committing


def test_commitments_are_stored_at_the_signers_place(oracle):
    oracle.opened(E)
    for who in (2, 0):
        value = bytes([who + 1]) * 32
        event = oracle.commit(E, who, value).ok().event("Committed")
        assert event == {"catalog": CATALOG, "epoch_id": E, "signer": oracle.keys[who], "commitment": value}
    epoch = oracle.epoch(E)
    assert epoch["commitments"] == [bytes([1]) * 32, bytes(32), bytes([3]) * 32]
    assert (epoch["committed"], epoch["status"]) == (0b101, COMMITTING)


@pytest.mark.parametrize(("plus_ms", "error"), [(0, None), (COMMIT_MS, None), (COMMIT_MS + 1000, "CommitClosed")])
def test_a_commitment_is_taken_until_the_deadline(oracle, plus_ms, error):
    oracle.opened(E)
    oracle.at_end_of(E, plus_ms)
    assert oracle.commit(E, 0, bytes([1]) * 32).send().error == error


def test_a_signer_commits_once_and_not_to_zero(oracle):
    oracle.opened(E)
    oracle.commit(E, 0, bytes(32)).fails("ZeroCommitment")
    oracle.commit(E, 0, bytes([1]) * 32).ok()
    oracle.commit(E, 0, bytes([2]) * 32).fails("AlreadyCommitted")
    assert oracle.epoch(E)["commitments"][0] == bytes([1]) * 32


def test_only_members_commit(oracle):
    oracle.opened(E)
    stranger = oracle.chain.funded()
    oracle.commit(E, 0, bytes([1]) * 32).with_accounts(signer=stranger).fails("NotASigner")


def test_the_same_transaction_sent_twice_acts_once(oracle):
    oracle.opened(E)
    call = oracle.commit(E, 0, bytes([1]) * 32)
    svm, payer = oracle.chain.svm, oracle.chain.payer
    signers = [payer, *call.signers()]
    tx = Transaction.new_signed_with_payer([call.instruction()], payer.pubkey(), signers, svm.latest_blockhash())
    oracle.chain.result(svm.send_transaction(tx)).ok()
    assert "AlreadyProcessed" in str(svm.send_transaction(tx).err())
    call.fails("AlreadyCommitted")


# ---------------------------------------------------------------- revealing


def committed(oracle, what, who=(0, 1, 2)):
    oracle.opened(E)
    for w in who:
        oracle.commit(E, w, what).ok()


def test_a_reveal_is_tallied_and_carries_header_and_attestation(oracle):
    b = bundle(E)
    committed(oracle, b)
    call = oracle.reveal(E, 1, b)
    event = call.ok().event("Revealed")
    assert event == {
        "catalog": CATALOG,
        "epoch_id": E,
        "signer": oracle.keys[1],
        "bundle_hash": b.hash,
        "attestation": call.args["attestation"],
        "header": b.header.encode(),
    }
    oracle.reveal(E, 2, b).ok()
    epoch = oracle.epoch(E)
    tally = {"bundle_hash": b.hash, "merkle_root": b.tree.root, "leaf_count": 5, "mask": 0b110}
    assert (epoch["tallies"], epoch["revealed"], epoch["status"]) == ([tally], 0b110, REVEALING)


def test_nothing_is_revealed_while_others_may_still_commit(oracle):
    b = bundle(E)
    committed(oracle, b, (0, 1))
    oracle.reveal(E, 0, b).fails("CommitOpen")
    oracle.at_end_of(E, COMMIT_MS)
    oracle.reveal(E, 0, b).fails("CommitOpen")
    oracle.at_end_of(E, COMMIT_MS + 1000)
    oracle.reveal(E, 0, b).ok()


def test_revealing_begins_at_once_when_all_have_committed(oracle):
    b = bundle(E)
    committed(oracle, b)
    oracle.reveal(E, 0, b).ok()


def test_a_reveal_after_the_deadline_is_refused(oracle):
    b = bundle(E)
    committed(oracle, b)
    oracle.at_end_of(E, COMMIT_MS + REVEAL_MS)
    oracle.reveal(E, 0, b).ok()
    oracle.at_end_of(E, COMMIT_MS + REVEAL_MS + 1000)
    oracle.reveal(E, 1, b).fails("RevealClosed")


def test_a_signer_reveals_once_and_only_after_committing(oracle):
    b = bundle(E)
    committed(oracle, b, (0, 1))
    oracle.at_end_of(E, COMMIT_MS + 1000)
    oracle.reveal(E, 2, b).fails("NotCommitted")
    oracle.reveal(E, 0, b).ok()
    oracle.reveal(E, 0, b).fails("AlreadyRevealed")
    oracle.reveal(E, 0, b).with_accounts(signer=oracle.chain.funded()).fails("NotASigner")


def test_a_wrong_salt_or_bundle_does_not_open_the_commitment(oracle):
    b, other = bundle(E), bundle(E, 6)
    committed(oracle, b)
    oracle.reveal(E, 0, b, salt=bytes(32)).fails("CommitmentMismatch")
    oracle.reveal(E, 0, b, salt=oracle.salt(1)).fails("CommitmentMismatch")
    oracle.reveal(E, 0, other).fails("CommitmentMismatch")


def test_a_copied_commitment_cannot_be_opened_by_the_copier(oracle):
    b = bundle(E)
    oracle.opened(E)
    value = oracle.commitment_hash(E, 0, b.hash, oracle.salt(0))
    for who in range(3):
        oracle.commit(E, who, value).ok()
    oracle.reveal(E, 1, b, salt=oracle.salt(0)).fails("CommitmentMismatch")
    oracle.reveal(E, 0, b).ok()


def test_a_commitment_of_another_epoch_cannot_be_opened(oracle):
    b = bundle(E)
    oracle.opened(E)
    value = oracle.commitment_hash(E + 1, 0, b.hash, oracle.salt(0))
    oracle.commit(E, 0, value).ok()
    oracle.commit(E, 1, b).ok()
    oracle.commit(E, 2, b).ok()
    oracle.reveal(E, 0, b).fails("CommitmentMismatch")


WRONG = {
    "magic": (0, b"X", "InvalidHeader"),
    "schema": (8, b"\2", "InvalidHeader"),
    "catalog": (10, b"x", "HeaderMismatch"),
    "epoch_id": (26, b"\xff", "HeaderMismatch"),
    "window_start_ms": (34, b"\1", "HeaderMismatch"),
    "window_end_ms": (42, b"\1", "HeaderMismatch"),
    "signer_set_id": (50, b"\2", "HeaderMismatch"),
    "leaf_count": (54, b"\0\0\0\0", "InvalidHeader"),
}


@pytest.mark.parametrize("field", WRONG)
def test_a_header_that_is_not_of_this_epoch_is_refused_even_when_committed_to(oracle, field):
    at, value, error = WRONG[field]
    header = bytearray(bundle(E).header.encode())
    assert header[at : at + len(value)] != value
    header[at : at + len(value)] = value
    forged = bytes(header)
    oracle.opened(E)
    digest = hashlib.sha256(forged).digest()
    for who in range(3):
        oracle.commit(E, who, oracle.commitment_hash(E, who, digest, oracle.salt(who))).ok()
    oracle.reveal(E, 0, forged).fails(error)


@pytest.mark.parametrize("length", [0, 249, 251])
def test_a_header_of_another_length_is_refused(oracle, length):
    b = bundle(E)
    committed(oracle, b)
    oracle.reveal(E, 0, b).with_args(header=b.header.encode()[:length].ljust(length, b"\0")).fails("InvalidInstruction")


# ---------------------------------------------------------------- finalizing


@pytest.mark.parametrize("who", [w for n in (2, 3) for w in itertools.combinations(range(3), n)])
def test_a_threshold_of_signers_finalizes(oracle, who):
    b = bundle(E)
    oracle.revealed(E, b, who)
    event = oracle.finalize(E).ok().event("EpochFinalized")
    mask = sum(1 << w for w in who)
    assert event == {
        "catalog": CATALOG,
        "epoch_id": E,
        "bundle_hash": b.hash,
        "merkle_root": b.tree.root,
        "leaf_count": 5,
        "signers_mask": mask,
        "signer_set_id": 1,
        "window_end_ms": (E + 1) * EPOCH_MS,
    }
    epoch, catalog = oracle.epoch(E), oracle.catalog()
    assert (epoch["status"], epoch["finalized_tally"]) == (FINALIZED, 0)
    assert epoch["finalized_slot"] == oracle.chain.svm.get_clock().slot
    assert (catalog["last_finalized_epoch"], catalog["finalized_count"], catalog["ring_head"]) == (E, 1, 1)
    assert catalog["ring"][0] == {
        "epoch_id": E,
        "window_end_ms": (E + 1) * EPOCH_MS,
        "leaf_count": 5,
        "signers": len(who),
        "merkle_root": b.tree.root,
        "bundle_hash": b.hash,
    }


def test_one_signer_short_of_the_threshold_finalizes_nothing(oracle):
    oracle.revealed(E, bundle(E), (1,))
    oracle.finalize(E).fails("NoQuorum")


def test_signers_who_disagree_make_no_quorum_together(oracle):
    bundles = [bundle(E, n) for n in (3, 4, 5)]
    oracle.opened(E)
    for who in range(3):
        oracle.commit(E, who, bundles[who]).ok()
    for who in range(3):
        oracle.reveal(E, who, bundles[who]).ok()
    assert [t["mask"] for t in oracle.epoch(E)["tallies"]] == [1, 2, 4]
    oracle.finalize(E).fails("NoQuorum")


def test_the_bundle_of_the_majority_is_finalized(oracle):
    minority, majority = bundle(E, 4), bundle(E, 5)
    oracle.opened(E)
    for who, what in ((0, minority), (1, majority), (2, majority)):
        oracle.commit(E, who, what).ok()
    oracle.reveal(E, 0, minority).ok()
    for who in (1, 2):
        oracle.finalize(E).fails("NoQuorum")
        oracle.reveal(E, who, majority).ok()
    assert oracle.finalize(E).ok().event("EpochFinalized")["bundle_hash"] == majority.hash
    assert oracle.epoch(E)["finalized_tally"] == 1


@pytest.mark.parametrize(("reveals", "mask"), [("abb", 0b110), ("aba", 0b101), ("ab", 0b001), ("ba", 0b001)])
def test_of_two_bundles_with_a_threshold_the_one_with_more_signers_or_else_the_first_is_finalized(reveals, mask):
    oracle = Oracle()
    oracle.initialize().ok()
    oracle.create_signer_set(threshold=1).ok()
    oracle.create_catalog().ok()
    bundles = {"a": bundle(E, 4), "b": bundle(E, 5)}
    oracle.opened(E)
    for who, name in enumerate(reveals):
        oracle.commit(E, who, bundles[name]).ok()
    oracle.at_end_of(E, COMMIT_MS + 1000)
    for who, name in enumerate(reveals):
        oracle.reveal(E, who, bundles[name]).ok()
    event = oracle.finalize(E).ok().event("EpochFinalized")
    assert event["signers_mask"] == mask
    assert event["bundle_hash"] == bundles["b" if reveals == "abb" else reveals[0]].hash


def test_an_epoch_is_finalized_once_and_takes_nothing_afterwards(oracle):
    b = bundle(E)
    oracle.revealed(E, b, (0, 1))
    oracle.finalize(E).ok()
    oracle.finalize(E).fails("WrongStatus")
    oracle.reveal(E, 0, b).fails("WrongStatus")
    oracle.commit(E, 2, b).fails("WrongStatus")
    oracle.expire(E).fails("WrongStatus")


def test_an_epoch_without_reveals_cannot_be_finalized(oracle):
    oracle.opened(E)
    oracle.finalize(E).fails("WrongStatus")
    oracle.commit(E, 0, bundle(E)).ok()
    oracle.finalize(E).fails("WrongStatus")


def test_epochs_are_finalized_in_increasing_order(oracle):
    older, newer = bundle(E), bundle(E + 1)
    oracle.revealed(E, older)
    oracle.finalized(E + 1, newer)
    oracle.finalize(E).fails("EpochNotNewer")


def test_an_epoch_is_finalized_only_into_its_own_catalog(oracle):
    other = b"crypto".ljust(16, b"\0")
    oracle.create_catalog(other).ok()
    oracle.revealed(E, bundle(E))
    wrong = oracle.catalog_at(other)
    oracle.finalize(E).with_accounts(catalog=wrong).fails("WrongCatalog")
    oracle.at_end_of(E, COMMIT_MS + REVEAL_MS + 1000)
    oracle.expire(E).with_accounts(catalog=wrong).fails("WrongCatalog")
    oracle.finalize(E).ok()
    oracle.at_end_of(E, CLOSES + 1000)
    oracle.close(E).with_accounts(catalog=wrong).fails("WrongCatalog")


def test_a_quorum_can_be_finalized_long_after_the_reveal_deadline(oracle):
    oracle.revealed(E, bundle(E))
    oracle.at_end_of(E, 100 * EPOCH_MS)
    oracle.finalize(E).ok()


# ---------------------------------------------------------------- expiring and closing


def test_an_epoch_without_quorum_expires_after_its_reveal_deadline(oracle):
    oracle.revealed(E, bundle(E), (1,))
    oracle.at_end_of(E, COMMIT_MS + REVEAL_MS)
    oracle.expire(E).fails("NotExpired")
    oracle.at_end_of(E, COMMIT_MS + REVEAL_MS + 1000)
    event = oracle.expire(E).ok().event("EpochExpired")
    assert event == {"catalog": CATALOG, "epoch_id": E, "committed": 0b10, "revealed": 0b10}
    assert oracle.epoch(E)["status"] == EXPIRED
    oracle.expire(E).fails("WrongStatus")
    oracle.finalize(E).fails("WrongStatus")


def test_an_epoch_with_a_quorum_does_not_expire_unless_a_later_one_overtook_it(oracle):
    oracle.revealed(E, bundle(E))
    oracle.at_end_of(E, COMMIT_MS + REVEAL_MS + 1000)
    oracle.expire(E).fails("NotExpired")
    oracle.finalized(E + 1)
    oracle.expire(E).ok()
    assert oracle.epoch(E)["status"] == EXPIRED


def test_closing_returns_the_rent_to_the_opener(oracle):
    b = bundle(E)
    oracle.finalized(E, b)
    svm, opener = oracle.chain.svm, oracle.sponsor.pubkey()
    rent, before = svm.get_account(oracle.epoch_at(E)).lamports, svm.get_account(opener).lamports
    oracle.at_end_of(E, CLOSES)
    oracle.close(E).fails("TooEarlyToClose")
    oracle.at_end_of(E, CLOSES + 1000)
    oracle.close(E, opener=oracle.admin.pubkey()).fails("WrongOpener")
    assert oracle.close(E).ok().event("EpochClosed") == {"catalog": CATALOG, "epoch_id": E}
    gone = svm.get_account(oracle.epoch_at(E))
    assert gone is None or (gone.lamports, bytes(gone.data), gone.owner) == (0, b"", SYSTEM)
    assert svm.get_account(opener).lamports == before + rent
    oracle.verify(b, 0).ok()


def test_an_epoch_that_is_still_running_is_not_closed(oracle):
    oracle.revealed(E, bundle(E))
    oracle.at_end_of(E, CLOSES + 1000)
    oracle.close(E).fails("WrongStatus")
    oracle.finalize(E).ok()
    oracle.close(E).ok()


def test_a_closed_epoch_is_not_opened_again(oracle):
    oracle.revealed(E, bundle(E), (1,))
    oracle.at_end_of(E, CLOSES + 1000)
    oracle.expire(E).ok()
    oracle.close(E).ok()
    oracle.open(E).fails("CommitClosed")
    oracle.commit(E, 0, bundle(E)).fails("WrongOwner")
