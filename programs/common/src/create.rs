//! Creating accounts at derived addresses, also when somebody sent lamports there before.

use pinocchio::cpi::{invoke_signed, Seed, Signer};
use pinocchio::instruction::{InstructionAccount, InstructionView};
use pinocchio::sysvars::{rent::Rent, Sysvar};

use crate::account::{Account, SYSTEM_PROGRAM};
use crate::{pda, require, AccountView, Address, Error, ProgramError, ProgramResult, ACCOUNT_VERSION};

/// Create `target` at the canonical address of `seeds` with room for `size` bytes, and return its data with
/// discriminator, version and bump written.
#[inline(always)]
pub fn create<'a, T: Account, const N: usize>(
    payer: &AccountView,
    target: &'a mut AccountView,
    program_id: &Address,
    seeds: [&[u8]; N],
    size: usize,
) -> Result<(&'a mut T, &'a mut [u8]), ProgramError> {
    create_at(payer, target, program_id, &seeds, size, T::DISCRIMINATOR)?;
    // SAFETY: nothing else borrows the new account.
    Ok(T::split_mut(unsafe { target.borrow_unchecked_mut() }))
}

#[inline(never)]
fn create_at(
    payer: &AccountView,
    target: &mut AccountView,
    program_id: &Address,
    seeds: &[&[u8]],
    size: usize,
    discriminator: [u8; 8],
) -> ProgramResult {
    let (address, bump) = pda::find(seeds, program_id)?;
    require(target.address() == &address, Error::WrongAddress)?;
    require(target.owned_by(&SYSTEM_PROGRAM), Error::AlreadyInitialized)?;
    let bump_seed = [bump];
    let signer: [Seed; 4] = core::array::from_fn(|i| Seed::from(*seeds.get(i).unwrap_or(&&bump_seed[..])));
    allocate(payer, target, program_id, &signer[..seeds.len() + 1], size)?;
    // SAFETY: nothing else borrows the new account.
    let data = unsafe { target.borrow_unchecked_mut() };
    data[..8].copy_from_slice(&discriminator);
    data[8] = ACCOUNT_VERSION;
    data[9] = bump;
    Ok(())
}

/// Pay the rent, allocate and assign: one call for an empty address, three for one that holds lamports already.
#[inline(never)]
fn allocate(
    payer: &AccountView,
    target: &AccountView,
    program_id: &Address,
    seeds: &[Seed],
    size: usize,
) -> ProgramResult {
    const CREATE_ACCOUNT: u8 = 0;
    const ASSIGN: u8 = 1;
    const TRANSFER: u8 = 2;
    const ALLOCATE: u8 = 8;

    let rent = Rent::get()?.try_minimum_balance(size)?;
    let size = (size as u64).to_le_bytes();
    let both =
        [InstructionAccount::writable_signer(payer.address()), InstructionAccount::writable_signer(target.address())];
    let alone = [InstructionAccount::writable_signer(target.address())];
    let mut data = [0u8; 52];
    if target.lamports() == 0 {
        data[0] = CREATE_ACCOUNT;
        data[4..12].copy_from_slice(&rent.to_le_bytes());
        data[12..20].copy_from_slice(&size);
        data[20..52].copy_from_slice(program_id.as_array());
        return call(&both, &[payer, target], &data, seeds);
    }
    let missing = rent.saturating_sub(target.lamports());
    if missing > 0 {
        let transfer = [both[0].clone(), InstructionAccount::writable(target.address())];
        data[0] = TRANSFER;
        data[4..12].copy_from_slice(&missing.to_le_bytes());
        call(&transfer, &[payer, target], &data[..12], seeds)?;
    }
    data[0] = ALLOCATE;
    data[4..12].copy_from_slice(&size);
    call(&alone, &[target], &data[..12], seeds)?;
    data[0] = ASSIGN;
    data[4..36].copy_from_slice(program_id.as_array());
    call(&alone, &[target], &data[..36], seeds)
}

#[inline(always)]
fn call<const N: usize>(
    metas: &[InstructionAccount; N],
    accounts: &[&AccountView; N],
    data: &[u8],
    seeds: &[Seed],
) -> ProgramResult {
    let instruction = InstructionView { program_id: &SYSTEM_PROGRAM, accounts: metas, data };
    invoke_signed(&instruction, accounts, &[Signer::from(seeds)])
}
