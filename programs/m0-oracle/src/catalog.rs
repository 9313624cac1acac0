//! Catalogs.

use m0_program_common::create::create;
use m0_program_common::event::emit;
use m0_program_common::layout::is_catalog_name;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramError, ProgramResult};

use crate::interface::{self as ix, event, Catalog, Error, CATALOG_SEED};
use crate::state::{catalog_mut, config, require_admin, signer_set};

/// Shortest epoch and phase, in milliseconds: time on chain has a resolution of one second.
const MIN_PHASE_MS: u64 = 1000;

/// The id of a signer set that may be given to a catalog.
fn usable_set(view: &AccountView, program_id: &Address) -> Result<u32, ProgramError> {
    let signers = signer_set(view, program_id)?;
    require(signers.set.retired == 0, Error::SignerSetRetired)?;
    Ok(signers.set.id)
}

pub fn create_catalog(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::create_catalog::Accounts::parse(accounts)?;
    let args = ix::create_catalog::args(data)?;
    require_admin(config(a.config, program_id)?, a.admin)?;
    require(is_catalog_name(&args.catalog), CommonError::InvalidCatalogName)?;
    let shortest = { args.epoch_ms }.min(args.commit_ms).min(args.reveal_ms);
    require(shortest >= MIN_PHASE_MS, Error::InvalidPhase)?;
    let signer_set_id = usable_set(a.signer_set, program_id)?;
    let seeds = [CATALOG_SEED, &args.catalog];
    let (catalog, _) = create::<Catalog, 2>(a.payer, a.catalog, program_id, seeds, size_of::<Catalog>())?;
    catalog.catalog = args.catalog;
    catalog.signer_set_id = signer_set_id;
    catalog.epoch_ms = args.epoch_ms;
    catalog.commit_ms = args.commit_ms;
    catalog.reveal_ms = args.reveal_ms;
    emit(event::CatalogCreated {
        catalog: args.catalog,
        signer_set_id,
        epoch_ms: args.epoch_ms,
        commit_ms: args.commit_ms,
        reveal_ms: args.reveal_ms,
    });
    Ok(())
}

pub fn set_signer_set(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::set_catalog_signer_set::Accounts::parse(accounts)?;
    ix::set_catalog_signer_set::args(data)?;
    require_admin(config(a.config, program_id)?, a.admin)?;
    let signer_set_id = usable_set(a.signer_set, program_id)?;
    let catalog = catalog_mut(a.catalog, program_id)?;
    catalog.signer_set_id = signer_set_id;
    emit(event::CatalogSignerSetChanged { catalog: catalog.catalog, signer_set_id });
    Ok(())
}
