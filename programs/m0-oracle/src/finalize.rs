//! Finalizing an epoch: its root enters the catalog's ring, its bundle hash the mountain range.

use m0_program_common::clock::now;
use m0_program_common::event::emit;
use m0_program_common::hash::leaf_hash;
use m0_program_common::merkle::push_peak;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramResult};

use crate::interface::{self as ix, event, Catalog, Epoch, Error, RingEntry, Tally};
use crate::state::{catalog_mut, config, epoch_mut, require_running, status, RING};

pub fn finalize(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::finalize_epoch::Accounts::parse(accounts)?;
    ix::finalize_epoch::args(data)?;
    require_running(config(a.config, program_id)?)?;
    let catalog = catalog_mut(a.catalog, program_id)?;
    let mut parts = epoch_mut(a.epoch, program_id)?;
    require(parts.epoch.catalog == catalog.catalog, Error::WrongCatalog)?;
    require(parts.epoch.status == status::REVEALING, Error::WrongStatus)?;
    let newer = catalog.finalized_count == 0 || parts.epoch.epoch_id > catalog.last_finalized_epoch;
    require(newer, Error::EpochNotNewer)?;
    let index = parts.quorum().ok_or(Error::NoQuorum)?;
    let tally = parts.tallies()[index];
    let epoch = parts.epoch;

    record(catalog, epoch, &tally)?;
    epoch.status = status::FINALIZED;
    epoch.finalized_tally = index as u8;
    epoch.finalized_slot = now()?.slot;
    emit(event::EpochFinalized {
        catalog: epoch.catalog,
        epoch_id: epoch.epoch_id,
        bundle_hash: tally.bundle_hash,
        merkle_root: tally.merkle_root,
        leaf_count: tally.leaf_count,
        signers_mask: tally.mask,
        signer_set_id: epoch.signer_set_id,
        window_end_ms: epoch.window_end_ms,
    });
    Ok(())
}

/// Write the finalized bundle into the catalog.
#[inline(always)]
fn record(catalog: &mut Catalog, epoch: &Epoch, tally: &Tally) -> ProgramResult {
    let head = catalog.ring_head as usize % RING;
    catalog.ring[head] = RingEntry {
        epoch_id: epoch.epoch_id,
        window_end_ms: epoch.window_end_ms,
        leaf_count: tally.leaf_count,
        signers: { tally.mask }.count_ones() as u8,
        merkle_root: tally.merkle_root,
        bundle_hash: tally.bundle_hash,
    };
    catalog.ring_head = ((head + 1) % RING) as u32;
    let count = push_peak(&mut catalog.peaks, catalog.finalized_count, leaf_hash(&tally.bundle_hash));
    catalog.finalized_count = count.ok_or(CommonError::Overflow)?;
    catalog.last_finalized_epoch = epoch.epoch_id;
    Ok(())
}
