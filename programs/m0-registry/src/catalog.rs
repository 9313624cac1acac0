//! Catalogs of markets.

use m0_program_common::create::create;
use m0_program_common::event::emit;
use m0_program_common::layout::is_catalog_name;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramResult};

use crate::interface::{self as ix, event, Catalog, CATALOG_SEED};
use crate::state::{require_role, root_mut};

pub fn create_catalog(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::create_catalog::Accounts::parse(accounts)?;
    let args = ix::create_catalog::args(data)?;
    require_role(&root_mut(a.root, program_id)?.admin, a.admin)?;
    require(is_catalog_name(&args.catalog), CommonError::InvalidCatalogName)?;
    let seeds = [CATALOG_SEED, &args.catalog];
    let (catalog, _) = create::<Catalog, 2>(a.payer, a.catalog, program_id, seeds, size_of::<Catalog>())?;
    catalog.catalog = args.catalog;
    catalog.active = 1;
    emit(event::CatalogCreated { catalog: args.catalog });
    Ok(())
}
