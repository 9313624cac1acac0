//! The registry program: catalogs, and markets with their states and resolutions. `docs/protocol.md` specifies every byte.
#![no_std]

mod admin;
mod catalog;
#[rustfmt::skip]
pub mod interface;
mod market;
mod resolve;
mod state;

use interface as ix;
use m0_program_common::plain::Plain;
use m0_program_common::{AccountView, Address, Error as CommonError, ProgramResult};

/// No instruction looks at more accounts.
const MAX_ACCOUNTS: usize = 8;

pinocchio::program_entrypoint!(process, MAX_ACCOUNTS);
pinocchio::no_allocator!();
pinocchio::nostd_panic_handler!();

fn process(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    if data.len() < 8 {
        return Err(CommonError::InvalidInstruction.into());
    }
    let (discriminator, data) = <[u8; 8]>::split(data);
    match u64::from_le_bytes(*discriminator) {
        ix::create_market::DISCRIMINATOR => market::create_market(program_id, accounts, data),
        ix::set_market_state::DISCRIMINATOR => market::set_state(program_id, accounts, data),
        ix::resolve_market::DISCRIMINATOR => resolve::resolve(program_id, accounts, data),
        ix::initialize_root::DISCRIMINATOR => admin::initialize_root(program_id, accounts, data),
        ix::propose_admin::DISCRIMINATOR => admin::propose_admin(program_id, accounts, data),
        ix::accept_admin::DISCRIMINATOR => admin::accept_admin(program_id, accounts, data),
        ix::set_roles::DISCRIMINATOR => admin::set_roles(program_id, accounts, data),
        ix::set_paused::DISCRIMINATOR => admin::set_paused(program_id, accounts, data),
        ix::create_catalog::DISCRIMINATOR => catalog::create_catalog(program_id, accounts, data),
        _ => Err(CommonError::InvalidInstruction.into()),
    }
}
