//! Addresses derived from seeds.

use crate::hash::sha256v;
use crate::{require, AccountView, Address, Error, ProgramError, ProgramResult};

/// The canonical address and bump for `seeds`.
#[inline(always)]
pub fn find(seeds: &[&[u8]], program_id: &Address) -> Result<(Address, u8), ProgramError> {
    #[cfg(target_os = "solana")]
    return Address::try_find_program_address(seeds, program_id).ok_or(Error::WrongAddress.into());
    #[cfg(not(target_os = "solana"))]
    {
        let _ = (seeds, program_id);
        Err(Error::WrongAddress.into())
    }
}

/// Check that `view` stands at the address of `seeds`, whose last element is the stored bump.
///
/// The stored bump was found when the account was created, so hashing suffices: the curve check of the
/// `create_program_address` syscall (1,500 CU) has been passed already.
#[inline(always)]
pub fn check_address<const N: usize>(view: &AccountView, program_id: &Address, seeds: [&[u8]; N]) -> ProgramResult {
    const { assert!(N <= MAX_SEEDS) };
    let mut parts: [&[u8]; MAX_SEEDS + 2] = [&[]; MAX_SEEDS + 2];
    parts[..N].copy_from_slice(&seeds);
    check_parts(view, program_id, &mut parts, N)
}

/// Seeds, with the bump, of any account.
const MAX_SEEDS: usize = 4;

#[inline(never)]
fn check_parts<'a>(
    view: &AccountView,
    program_id: &'a Address,
    parts: &mut [&'a [u8]; MAX_SEEDS + 2],
    count: usize,
) -> ProgramResult {
    parts[count] = program_id.as_array();
    parts[count + 1] = b"ProgramDerivedAddress";
    require(sha256v(&parts[..count + 2]) == *view.address().as_array(), Error::WrongAddress)
}
