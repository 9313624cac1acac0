"""One epoch's way through commit and reveal, as a pure function of what the chain shows."""

from dataclasses import dataclass
from enum import StrEnum

from m0chain.accounts import Catalog, Epoch, EpochStatus

EVERYBODY = "everybody who committed has revealed"


class Do(StrEnum):
    """What to do next for an epoch."""

    OPEN = "open"
    COMMIT = "commit"
    REVEAL = "reveal"
    FINALIZE = "finalize"
    WAIT = "wait"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class View:
    """An epoch, its catalog and the chain's clock, read at one moment; `earlier` are the catalog's older epochs that
    are not final yet.
    """

    epoch: Epoch | None
    catalog: Catalog
    now_ms: int
    earlier: tuple[Epoch, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """The next action and why; for WAIT, `until_ms` is the chain time at which something changes by itself."""

    do: Do
    why: str
    until_ms: int | None = None


def next_step(view: View, epoch_id: int, set_id: int, member: int, commitment_hash: bytes) -> Step:
    """What signer number `member` of set `set_id`, who committed or will commit to `commitment_hash`, does next."""
    epoch, now = view.epoch, view.now_ms
    if epoch is None:
        return _unopened(view, epoch_id)
    if epoch.signer_set_id != set_id:
        return Step(Do.DONE, "signer_set_changed")
    bit = 1 << member
    if epoch.status is EpochStatus.FINALIZED:
        return Step(Do.DONE, "finalized")
    if epoch.status is EpochStatus.EXPIRED:
        return Step(Do.DONE, "expired")
    if not epoch.committed & bit:
        if now <= epoch.commit_deadline_ms:
            return Step(Do.COMMIT, "not committed")
        return _watch(view, epoch, "missed_commit")
    if epoch.commitments[member] != commitment_hash:
        return Step(Do.DONE, "foreign_commitment_hash")
    if not epoch.revealed & bit:
        if now > epoch.reveal_deadline_ms:
            return _watch(view, epoch, "missed_reveal")
        if epoch.all_committed or now > epoch.commit_deadline_ms:
            return Step(Do.REVEAL, "not revealed")
        return Step(Do.WAIT, "commits are missing", epoch.commit_deadline_ms + 1)
    return _watch(view, epoch, "no_quorum")


def _unopened(view: View, epoch_id: int) -> Step:
    catalog = view.catalog
    window_end = (epoch_id + 1) * catalog.epoch_ms
    if catalog.finalized_count and epoch_id <= catalog.last_finalized_epoch:
        return Step(Do.DONE, "superseded")
    if view.now_ms > window_end + catalog.commit_ms:
        return Step(Do.DONE, "not_opened_in_time")
    if view.now_ms < window_end:
        return Step(Do.WAIT, "the window is not over on chain", window_end)
    return Step(Do.OPEN, "not open")


def _watch(view: View, epoch: Epoch, otherwise: str) -> Step:
    """The signer has done its part, or missed it: finalize when there is a quorum, else wait for one."""
    if view.catalog.finalized_count and epoch.epoch_id <= view.catalog.last_finalized_epoch:
        return Step(Do.DONE, "superseded")
    if epoch.quorum() is None:
        if view.now_ms > epoch.reveal_deadline_ms:
            return Step(Do.DONE, otherwise)
        return Step(Do.WAIT, "reveals are missing", epoch.reveal_deadline_ms + 1)
    for older in view.earlier:
        # Finalizing this one first would shut the older one out for ever.
        if older.quorum() is not None or view.now_ms <= older.reveal_deadline_ms:
            return Step(Do.WAIT, f"epoch {older.epoch_id} comes first", older.reveal_deadline_ms + 1)
    return Step(Do.FINALIZE, EVERYBODY if epoch.revealed == epoch.committed else "quorum")
