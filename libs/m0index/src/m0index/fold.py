"""Events of one thing, in order, to its rows. Pure: the same events give the same rows, whenever they arrive."""

from collections.abc import Sequence

from m0chain import accounts
from m0chain import event_types as ev
from msgspec.structs import replace

from m0index.events import Event
from m0index.rows import INT64_MAX, CatalogRow, MarketRow, SignerSetRow


def commitment_of(events: Sequence[Event]) -> str:
    """The commitment of a row: final when every event behind it is."""
    return "finalized" if all(e.commitment == "finalized" for e in events) else "confirmed"


def fold_market(events: Sequence[Event]) -> MarketRow | None:
    """The market, None when its creation is not among the events."""
    row: MarketRow | None = None
    for stored in events:
        match stored.event:
            case ev.MarketCreated() as e:
                row = MarketRow(
                    e.market_id,
                    e.market_key,
                    e.catalog,
                    e.group,
                    e.title,
                    list(e.outcomes),
                    "DRAFT",
                    e.schema_version,
                    e.opens_ms,
                    e.resolves_after_ms,
                    None,
                    None,
                    None,
                    stored.slot,
                    "confirmed",
                )
            case accounts.Market() as e:
                row = _market_account(e, stored.slot)
            case ev.MarketStateChanged() as e if row is not None:
                row = replace(row, state=accounts.MarketState(e.new_state).name, slot=stored.slot)
            case ev.MarketResolved() as e if row is not None:
                row = replace(
                    row,
                    state=accounts.MarketState.DEPRECATED.name,
                    resolution=e.outcome,
                    resolved_ms=e.resolved_ms,
                    evidence_hash=e.evidence_hash,
                    slot=stored.slot,
                )
            case _:
                pass
    return None if row is None else replace(row, commitment=commitment_of(events))


def _market_account(account: accounts.Market, slot: int) -> MarketRow:
    return MarketRow(
        account.market_id,
        account.market_key,
        account.catalog,
        account.group,
        account.title,
        list(account.outcomes),
        account.state.name,
        account.schema_version,
        account.opens_ms,
        account.resolves_after_ms,
        account.resolution if account.resolved else None,
        account.resolved_ms if account.resolved else None,
        account.evidence_hash if account.resolved else None,
        slot,
        "confirmed",
    )


def fold_signer_set(events: Sequence[Event]) -> SignerSetRow | None:
    """The signer set, None when its creation is not among the events."""
    row: SignerSetRow | None = None
    for stored in events:
        match stored.event:
            case ev.SignerSetCreated() as e:
                row = SignerSetRow(
                    e.id,
                    e.threshold,
                    min(e.activation_epoch, INT64_MAX),
                    e.digest,
                    [str(key) for key in e.keys],
                    False,
                    stored.slot,
                    "confirmed",
                )
            case ev.SignerSetRetired() if row is not None:
                row = replace(row, retired=True, slot=stored.slot)
            case _:
                pass
    return None if row is None else replace(row, commitment=commitment_of(events))


def fold_catalog(events: Sequence[Event]) -> CatalogRow | None:
    """The oracle's catalog, None when its creation is not among the events."""
    row: CatalogRow | None = None
    for stored in events:
        match stored.event:
            case ev.CatalogCreated() as e:
                row = CatalogRow(
                    e.catalog, e.signer_set_id, e.epoch_ms, e.commit_ms, e.reveal_ms, stored.slot, "confirmed"
                )
            case ev.CatalogSignerSetChanged() as e if row is not None:
                row = replace(row, signer_set_id=e.signer_set_id, slot=stored.slot)
            case _:
                pass
    return None if row is None else replace(row, commitment=commitment_of(events))
