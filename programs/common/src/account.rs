//! Reading accounts: flags, owner, type, version.
//!
//! Data is borrowed without run-time counters. That is sound because no instruction holds two accounts of one type,
//! two types never share a discriminator, and so no account passed twice can be loaded twice.

use crate::plain::Plain;
use crate::{require, AccountView, Address, Error, ProgramError, ProgramResult, ACCOUNT_VERSION};

/// A program account: `discriminator [8] | version u8 | bump u8 | fields`.
pub trait Account: Plain {
    const DISCRIMINATOR: [u8; 8];
}

pub const SYSTEM_PROGRAM: Address = Address::new_from_array([0; 32]);

#[inline(always)]
pub fn require_signer(view: &AccountView) -> ProgramResult {
    require(view.is_signer(), Error::MissingSigner)
}

#[inline(always)]
pub fn require_writable(view: &AccountView) -> ProgramResult {
    require(view.is_writable(), Error::NotWritable)
}

#[inline(always)]
pub fn require_system_program(view: &AccountView) -> ProgramResult {
    require(view.address() == &SYSTEM_PROGRAM, Error::WrongSystemProgram)
}

#[inline(never)]
fn check(view: &AccountView, program_id: &Address, discriminator: u64, size: usize) -> ProgramResult {
    require(view.owned_by(program_id), Error::WrongOwner)?;
    // SAFETY: no mutable borrow of this account is alive, see the module's note.
    let data = unsafe { view.borrow_unchecked() };
    require(data.len() >= size.max(9), Error::WrongAccountType)?;
    require(u64::from_le_bytes(*<[u8; 8]>::split(data).0) == discriminator, Error::WrongAccountType)?;
    require(data[8] == ACCOUNT_VERSION, Error::WrongVersion)
}

/// The account's fields of fixed size, and the bytes after them.
#[inline(always)]
pub fn load<'a, T: Account>(view: &'a AccountView, program_id: &Address) -> Result<(&'a T, &'a [u8]), ProgramError> {
    check(view, program_id, u64::from_le_bytes(T::DISCRIMINATOR), size_of::<T>())?;
    // SAFETY: see the module's note.
    Ok(T::split(unsafe { view.borrow_unchecked() }))
}

/// The same parts for writing, of an account that [`load`] has checked and whose flags say it is writable.
#[inline(always)]
pub fn parts_mut<T: Account>(view: &mut AccountView) -> (&mut T, &mut [u8]) {
    // SAFETY: see the module's note.
    T::split_mut(unsafe { view.borrow_unchecked_mut() })
}
