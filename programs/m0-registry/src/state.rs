//! Loading the program's accounts with every check: owner, type, version, address.

use m0_program_common::account::{load, parts_mut};
use m0_program_common::pda::check_address;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramError, ProgramResult};

use crate::interface::{Catalog, Market, Root, CATALOG_SEED, MARKET_SEED, ROOT_SEED};

/// Values of `Market::state`.
pub mod stage {
    pub const DRAFT: u8 = 0;
    pub const ACTIVE: u8 = 1;
    pub const PAUSED: u8 = 2;
    pub const DEPRECATED: u8 = 3;
    pub const ARCHIVED: u8 = 4;
}

#[inline(never)]
pub fn root<'a>(view: &'a AccountView, program_id: &Address) -> Result<&'a Root, ProgramError> {
    let (root, _) = load::<Root>(view, program_id)?;
    check_address(view, program_id, [ROOT_SEED, &[root.bump]])?;
    Ok(root)
}

#[inline(never)]
pub fn root_mut<'a>(view: &'a mut AccountView, program_id: &Address) -> Result<&'a mut Root, ProgramError> {
    root(view, program_id)?;
    Ok(parts_mut(view).0)
}

/// Refuse unless the account holds the role.
#[inline(never)]
pub fn require_role(role: &Address, authority: &AccountView) -> ProgramResult {
    require(authority.address() == role, CommonError::Unauthorized)
}

#[inline(never)]
pub fn require_running(root: &Root) -> ProgramResult {
    require(root.paused == 0, CommonError::Paused)
}

#[inline(never)]
pub fn catalog_mut<'a>(view: &'a mut AccountView, program_id: &Address) -> Result<&'a mut Catalog, ProgramError> {
    let (catalog, _) = load::<Catalog>(view, program_id)?;
    check_address(view, program_id, [CATALOG_SEED, &catalog.catalog, &[catalog.bump]])?;
    Ok(parts_mut(view).0)
}

#[inline(never)]
pub fn market_mut<'a>(view: &'a mut AccountView, program_id: &Address) -> Result<&'a mut Market, ProgramError> {
    let (market, _) = load::<Market>(view, program_id)?;
    check_address(view, program_id, [MARKET_SEED, &market.market_key, &[market.bump]])?;
    Ok(parts_mut(view).0)
}
