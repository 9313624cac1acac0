//! The oracle program: signers commit to and reveal an epoch's prediction bundle, a threshold finalizes its root, and
//! anyone verifies predictions against it. `docs/protocol.md` specifies every byte.
#![no_std]

mod admin;
mod catalog;
mod epoch;
mod finalize;
#[rustfmt::skip]
pub mod interface;
mod prediction;
mod signer_set;
mod signing;
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
        ix::commit::DISCRIMINATOR => signing::commit(program_id, accounts, data),
        ix::reveal::DISCRIMINATOR => signing::reveal(program_id, accounts, data),
        ix::verify_prediction::DISCRIMINATOR => prediction::verify(program_id, accounts, data),
        ix::post_prediction::DISCRIMINATOR => prediction::post(program_id, accounts, data),
        ix::open_epoch::DISCRIMINATOR => epoch::open(program_id, accounts, data),
        ix::finalize_epoch::DISCRIMINATOR => finalize::finalize(program_id, accounts, data),
        ix::expire_epoch::DISCRIMINATOR => epoch::expire(program_id, accounts, data),
        ix::close_epoch::DISCRIMINATOR => epoch::close(program_id, accounts, data),
        ix::initialize::DISCRIMINATOR => admin::initialize(program_id, accounts, data),
        ix::propose_admin::DISCRIMINATOR => admin::propose_admin(program_id, accounts, data),
        ix::accept_admin::DISCRIMINATOR => admin::accept_admin(program_id, accounts, data),
        ix::set_guardian::DISCRIMINATOR => admin::set_guardian(program_id, accounts, data),
        ix::set_paused::DISCRIMINATOR => admin::set_paused(program_id, accounts, data),
        ix::create_signer_set::DISCRIMINATOR => signer_set::create_signer_set(program_id, accounts, data),
        ix::retire_signer_set::DISCRIMINATOR => signer_set::retire(program_id, accounts, data),
        ix::create_catalog::DISCRIMINATOR => catalog::create_catalog(program_id, accounts, data),
        ix::set_catalog_signer_set::DISCRIMINATOR => catalog::set_signer_set(program_id, accounts, data),
        _ => Err(CommonError::InvalidInstruction.into()),
    }
}
