//! What signers do: commit to a bundle, then reveal it.

use m0_program_common::clock::now;
use m0_program_common::event::emit;
use m0_program_common::hash::{sha256v, Hash};
use m0_program_common::layout::{Header, HEADER_MAGIC, HEADER_SCHEMA};
use m0_program_common::plain::Plain;
use m0_program_common::{require, AccountView, Address, ProgramResult};

use crate::interface::{self as ix, event, Epoch, Error, Tally};
use crate::state::{config, epoch_mut, require_running, signer_set, status, EpochParts};

const ZERO: Hash = [0; 32];

pub fn commit(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::commit::Accounts::parse(accounts)?;
    let args = ix::commit::args(data)?;
    require_running(config(a.config, program_id)?)?;
    let signers = signer_set(a.signer_set, program_id)?;
    let EpochParts { epoch, commitments, .. } = epoch_mut(a.epoch, program_id)?;
    require(signers.set.id == epoch.signer_set_id, Error::WrongSignerSet)?;
    let position = signers.position(a.signer.address())?;
    require(epoch.status <= status::COMMITTING, Error::WrongStatus)?;
    require(now()?.ms <= epoch.commit_deadline_ms, Error::CommitClosed)?;
    let bit = 1u32 << position;
    require(epoch.committed & bit == 0, Error::AlreadyCommitted)?;
    require(args.commitment != ZERO, Error::ZeroCommitment)?;
    commitments[position] = args.commitment;
    epoch.committed |= bit;
    epoch.status = status::COMMITTING;
    emit(event::Committed {
        catalog: epoch.catalog,
        epoch_id: epoch.epoch_id,
        signer: *a.signer.address(),
        commitment: args.commitment,
    });
    Ok(())
}

/// Refuse a header that is not one for this epoch.
fn check_header(header: &Header, epoch: &Epoch) -> ProgramResult {
    let well_formed = header.magic == HEADER_MAGIC && header.schema == HEADER_SCHEMA && header.leaf_count > 0;
    require(well_formed, Error::InvalidHeader)?;
    let same = header.catalog == epoch.catalog
        && header.epoch_id == epoch.epoch_id
        && header.window_start_ms == epoch.window_start_ms
        && header.window_end_ms == epoch.window_end_ms
        && header.signer_set_id == epoch.signer_set_id;
    require(same, Error::HeaderMismatch)
}

/// Every bit that a set of `count` signers has.
fn everyone(count: u8) -> u32 {
    u32::MAX >> (32 - count as u32)
}

pub fn reveal(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::reveal::Accounts::parse(accounts)?;
    let args = ix::reveal::args(data)?;
    require_running(config(a.config, program_id)?)?;
    let signers = signer_set(a.signer_set, program_id)?;
    let epoch_address = *a.epoch.address();
    let mut parts = epoch_mut(a.epoch, program_id)?;
    let epoch = &mut *parts.epoch;
    require(signers.set.id == epoch.signer_set_id, Error::WrongSignerSet)?;
    let position = signers.position(a.signer.address())?;
    require(epoch.status < status::FINALIZED, Error::WrongStatus)?;
    let bit = 1u32 << position;
    require(epoch.committed & bit != 0, Error::NotCommitted)?;
    require(epoch.revealed & bit == 0, Error::AlreadyRevealed)?;
    let now_ms = now()?.ms;
    let all_committed = epoch.committed == everyone(epoch.count);
    require(all_committed || now_ms > epoch.commit_deadline_ms, Error::CommitOpen)?;
    require(now_ms <= epoch.reveal_deadline_ms, Error::RevealClosed)?;
    let (header, _) = Header::split(&args.header);
    check_header(header, epoch)?;

    let signer = a.signer.address();
    let bundle_hash = sha256v(&[&args.header]);
    let commitment = sha256v(&[
        b"M0COMMIT1",
        program_id.as_array(),
        epoch_address.as_array(),
        signer.as_array(),
        &bundle_hash,
        &args.salt,
    ]);
    require(commitment == parts.commitments[position], Error::CommitmentMismatch)?;

    epoch.revealed |= bit;
    epoch.status = status::REVEALING;
    let (catalog, epoch_id) = (epoch.catalog, epoch.epoch_id);
    match parts.tallies().iter_mut().find(|tally| tally.bundle_hash == bundle_hash) {
        Some(tally) => tally.mask |= bit,
        None => parts.add_tally(Tally {
            bundle_hash,
            merkle_root: header.merkle_root,
            leaf_count: header.leaf_count,
            mask: bit,
        })?,
    }
    emit(event::Revealed {
        catalog,
        epoch_id,
        signer: *signer,
        bundle_hash,
        attestation: args.attestation,
        header_len: args.header_len,
        header: args.header,
    });
    Ok(())
}
