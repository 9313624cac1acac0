"""An epoch and what its signers did, from its events."""

from collections.abc import Sequence
from dataclasses import dataclass

from m0chain import accounts
from m0chain import event_types as ev
from m0common.canonical import BundleHeader, attestation_digest, signer_set_digest
from m0common.errors import InvalidValue
from msgspec.structs import replace
from solders.pubkey import Pubkey
from solders.signature import Signature

from m0index.events import Event
from m0index.fold import commitment_of
from m0index.rows import EpochRow, EpochSignerRow, SignerSetRow

_ORDER = ("open", "committing", "revealing")


@dataclass(frozen=True, slots=True)
class EpochRows:
    """Both tables' rows of one epoch."""

    epoch: EpochRow
    signers: list[EpochSignerRow]


def fold_epoch(events: Sequence[Event], oracle: Pubkey, members: SignerSetRow | None) -> EpochRows | None:
    """The epoch, None when its opening is not among the events.

    `members` is the epoch's signer set; without it only signers that acted are listed and no attestation counts.
    """
    row: EpochRow | None = None
    signers: dict[str, EpochSignerRow] = {}
    headers: dict[bytes, BundleHeader] = {}
    for stored in events:
        match stored.event:
            case ev.EpochOpened() as e:
                row = _opened(e, stored.slot)
                names = members.signers if members is not None and members.id == e.signer_set_id else []
                signers = {name: EpochSignerRow(e.catalog, e.epoch_id, name) for name in names}
            case accounts.Epoch() as e:
                row = _account(e, stored.slot, row)
                signers = _account_signers(e, members, signers)
            case ev.Committed() as e if row is not None:
                row = _advance(row, "committing", stored.slot)
                name = str(e.signer)
                known = signers.get(name) or EpochSignerRow(e.catalog, e.epoch_id, name)
                signers[name] = replace(
                    known, committed=True, commitment_hash=e.commitment, commit_signature=stored.signature,
                    commitment=stored.commitment,
                )  # fmt: skip
            case ev.Revealed() as e if row is not None:
                row = _advance(row, "revealing", stored.slot)
                name = str(e.signer)
                known = signers.get(name) or EpochSignerRow(e.catalog, e.epoch_id, name, committed=True)
                signers[name] = replace(
                    known, revealed=True, bundle_hash=e.bundle_hash, attestation=e.attestation,
                    attestation_valid=_valid(e, oracle, members), reveal_signature=stored.signature,
                    commitment=stored.commitment,
                )  # fmt: skip
                header = _header(e)
                if header is not None:
                    headers[e.bundle_hash] = header
            case ev.EpochFinalized() as e if row is not None:
                row = _finalized(row, e, stored, headers.get(e.bundle_hash))
            case ev.EpochExpired() if row is not None:
                row = replace(row, status="expired", slot=stored.slot)
            case ev.EpochClosed() if row is not None:
                row = replace(row, closed=True, slot=stored.slot)
            case _:
                pass
    if row is None:
        return None
    return EpochRows(replace(row, commitment=commitment_of(events)), [signers[name] for name in sorted(signers)])


def _opened(e: ev.EpochOpened, slot: int) -> EpochRow:
    return EpochRow(
        e.catalog,
        e.epoch_id,
        "open",
        e.signer_set_id,
        e.window_start_ms,
        e.window_end_ms,
        e.commit_deadline_ms,
        e.reveal_deadline_ms,
        leaf_count=None,
        merkle_root=None,
        bundle_hash=None,
        prev_bundle_hash=None,
        signers_mask=None,
        finalized_slot=None,
        finalized_ms=None,
        finalize_signature=None,
        closed=False,
        slot=slot,
        commitment="confirmed",
    )


def _advance(row: EpochRow, status: str, slot: int) -> EpochRow:
    later = status if row.status in _ORDER and _ORDER.index(status) > _ORDER.index(row.status) else row.status
    return replace(row, status=later, slot=slot)


def _finalized(row: EpochRow, e: ev.EpochFinalized, stored: Event, header: BundleHeader | None) -> EpochRow:
    return replace(
        row,
        status="finalized",
        leaf_count=e.leaf_count,
        merkle_root=e.merkle_root,
        bundle_hash=e.bundle_hash,
        prev_bundle_hash=None if header is None else header.prev_bundle_hash,
        signers_mask=e.signers_mask,
        finalized_slot=stored.slot,
        finalized_ms=stored.block_ms,
        finalize_signature=stored.signature,
        slot=stored.slot,
    )


def _header(e: ev.Revealed) -> BundleHeader | None:
    try:
        header = BundleHeader.decode(e.header)
    except InvalidValue:
        return None
    return header if header.bundle_hash == e.bundle_hash else None


def _valid(e: ev.Revealed, oracle: Pubkey, members: SignerSetRow | None) -> bool:
    """The program carries the attestation without checking it, so that is done here: 64 bytes over our own digest."""
    if members is None or str(e.signer) not in members.signers or len(e.attestation) != 64:
        return False
    keys = [bytes(Pubkey.from_string(s)) for s in members.signers]
    set_digest = signer_set_digest(members.id, members.threshold, keys)
    digest = attestation_digest(bytes(oracle), e.catalog, e.epoch_id, e.bundle_hash, set_digest)
    return Signature.from_bytes(e.attestation).verify(e.signer, digest)


def _account(a: accounts.Epoch, slot: int, before: EpochRow | None) -> EpochRow:
    tally = a.tallies[a.finalized_tally] if a.finalized_tally != accounts.NO_TALLY else None
    return EpochRow(
        a.catalog,
        a.epoch_id,
        a.status.label,
        a.signer_set_id,
        a.window_start_ms,
        a.window_end_ms,
        a.commit_deadline_ms,
        a.reveal_deadline_ms,
        leaf_count=tally.leaf_count if tally else None,
        merkle_root=tally.merkle_root if tally else None,
        bundle_hash=tally.bundle_hash if tally else None,
        prev_bundle_hash=before.prev_bundle_hash if before else None,
        signers_mask=tally.mask if tally else None,
        finalized_slot=a.finalized_slot if tally else None,
        finalized_ms=before.finalized_ms if before else None,
        finalize_signature=before.finalize_signature if before else None,
        closed=False,
        slot=slot,
        commitment="confirmed",
    )


def _account_signers(
    a: accounts.Epoch, members: SignerSetRow | None, before: dict[str, EpochSignerRow]
) -> dict[str, EpochSignerRow]:
    if members is None or members.id != a.signer_set_id:
        return before
    merged = {}
    for bit, name in enumerate(members.signers):
        known = before.get(name) or EpochSignerRow(a.catalog, a.epoch_id, name)
        revealed = next((t.bundle_hash for t in a.tallies if t.mask >> bit & 1), known.bundle_hash)
        merged[name] = replace(
            known,
            committed=known.committed or bool(a.committed >> bit & 1),
            revealed=known.revealed or bool(a.revealed >> bit & 1),
            bundle_hash=revealed,
        )
    return merged
