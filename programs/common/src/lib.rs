//! Account checks, hashing and byte layouts shared by the programs.
#![no_std]

pub mod account;
pub mod authority;
pub mod borsh;
pub mod clock;
pub mod create;
pub mod event;
pub mod hash;
#[rustfmt::skip]
pub mod interface;
pub mod layout;
pub mod merkle;
pub mod pda;
pub mod plain;

pub use interface::Error;
pub use pinocchio::error::ProgramError;
pub use pinocchio::{AccountView, Address, ProgramResult};

/// Version written into, and required of, every account.
pub const ACCOUNT_VERSION: u8 = 1;

/// `Err(error)` unless `condition` holds.
#[inline(always)]
pub fn require(condition: bool, error: impl Into<ProgramError>) -> ProgramResult {
    if condition {
        Ok(())
    } else {
        Err(error.into())
    }
}
