//! Signer sets.

use m0_program_common::account::parts_mut;
use m0_program_common::borsh::Reader;
use m0_program_common::create::create;
use m0_program_common::event::{emit, emit_with_tail};
use m0_program_common::hash::sha256v;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramResult};

use crate::interface::{self as ix, event, Error, SignerSet, SIGNER_SET_SEED};
use crate::state::{config, require_admin, signer_set, MAX_SIGNERS};

pub fn create_signer_set(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::create_signer_set::Accounts::parse(accounts)?;
    let (args, encoded_keys) = ix::create_signer_set::args(data)?;
    let mut reader = Reader(encoded_keys);
    let keys: &[Address] = reader.vec().ok_or(CommonError::InvalidInstruction)?;
    require(reader.is_empty(), CommonError::InvalidInstruction)?;
    require_admin(config(a.config, program_id)?, a.admin)?;

    let count = keys.len();
    require((1..=MAX_SIGNERS).contains(&count), Error::InvalidSignerSet)?;
    require((1..=count).contains(&(args.threshold as usize)), Error::InvalidSignerSet)?;
    require(keys.windows(2).all(|pair| pair[0] < pair[1]), Error::InvalidSignerSet)?;

    let id = args.id.to_le_bytes();
    let count = count as u8;
    let digest = sha256v(&[b"M0SIGNERS1", &id, &[args.threshold, count], &encoded_keys[4..]]);
    let size = size_of::<SignerSet>() + encoded_keys.len();
    let (set, tail) = create::<SignerSet, 2>(a.payer, a.signer_set, program_id, [SIGNER_SET_SEED, &id], size)?;
    set.id = args.id;
    set.threshold = args.threshold;
    set.count = count;
    set.activation_epoch = args.activation_epoch;
    set.digest = digest;
    tail.copy_from_slice(encoded_keys);
    let body = event::SignerSetCreated {
        id: args.id,
        threshold: args.threshold,
        activation_epoch: args.activation_epoch,
        digest,
    };
    emit_with_tail(body, encoded_keys);
    Ok(())
}

pub fn retire(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::retire_signer_set::Accounts::parse(accounts)?;
    ix::retire_signer_set::args(data)?;
    require_admin(config(a.config, program_id)?, a.admin)?;
    require(signer_set(a.signer_set, program_id)?.set.retired == 0, Error::SignerSetRetired)?;
    let (set, _) = parts_mut::<SignerSet>(a.signer_set);
    set.retired = 1;
    emit(event::SignerSetRetired { id: set.id });
    Ok(())
}
