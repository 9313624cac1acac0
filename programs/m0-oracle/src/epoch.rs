//! The beginning and the end of an epoch account.

use m0_program_common::clock::now;
use m0_program_common::create::create;
use m0_program_common::event::emit;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramResult};

use crate::interface::{self as ix, event, Epoch, Error, EPOCH_SEED};
use crate::state::{catalog, config, epoch_mut, epoch_size, require_running, signer_set, status, EpochParts, NO_TALLY};

/// How long an epoch account stays readable after its reveal deadline.
const KEEP_MS: i64 = 60_000;

/// `time + span`, refused when it leaves the range of a time.
fn later(time: i64, span: u64) -> Result<i64, CommonError> {
    i64::try_from(span).ok().and_then(|span| time.checked_add(span)).ok_or(CommonError::Overflow)
}

pub fn open(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::open_epoch::Accounts::parse(accounts)?;
    let epoch_id = ix::open_epoch::args(data)?.epoch_id;
    require_running(config(a.config, program_id)?)?;
    let catalog = catalog(a.catalog, program_id)?;
    let set = signer_set(a.signer_set, program_id)?.set;
    require(set.id == catalog.signer_set_id, Error::WrongSignerSet)?;
    require(set.retired == 0, Error::SignerSetRetired)?;
    require(set.activation_epoch <= epoch_id, Error::SignerSetNotActive)?;
    require(catalog.finalized_count == 0 || epoch_id > catalog.last_finalized_epoch, Error::EpochNotNewer)?;

    let window_start_ms = later(0, epoch_id.checked_mul(catalog.epoch_ms).ok_or(CommonError::Overflow)?)?;
    let window_end_ms = later(window_start_ms, catalog.epoch_ms)?;
    let commit_deadline_ms = later(window_end_ms, catalog.commit_ms)?;
    let reveal_deadline_ms = later(commit_deadline_ms, catalog.reveal_ms)?;
    let now = now()?;
    require(now.ms >= window_end_ms, Error::WindowNotOver)?;
    require(now.ms <= commit_deadline_ms, Error::CommitClosed)?;

    let seeds = [EPOCH_SEED, &catalog.catalog, &epoch_id.to_le_bytes()];
    let count = set.count as usize;
    let (epoch, tail) = create::<Epoch, 3>(a.payer, a.epoch, program_id, seeds, epoch_size(count))?;
    epoch.catalog = catalog.catalog;
    epoch.epoch_id = epoch_id;
    epoch.status = status::OPEN;
    epoch.signer_set_id = set.id;
    epoch.count = set.count;
    epoch.threshold = set.threshold;
    epoch.opener = *a.payer.address();
    epoch.window_start_ms = window_start_ms;
    epoch.window_end_ms = window_end_ms;
    epoch.commit_deadline_ms = commit_deadline_ms;
    epoch.reveal_deadline_ms = reveal_deadline_ms;
    epoch.finalized_tally = NO_TALLY;
    tail[0] = set.count; // the length of the vector of commitments
    emit(event::EpochOpened {
        catalog: catalog.catalog,
        epoch_id,
        signer_set_id: set.id,
        window_start_ms,
        window_end_ms,
        commit_deadline_ms,
        reveal_deadline_ms,
    });
    Ok(())
}

pub fn expire(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::expire_epoch::Accounts::parse(accounts)?;
    ix::expire_epoch::args(data)?;
    let catalog = catalog(a.catalog, program_id)?;
    let mut parts = epoch_mut(a.epoch, program_id)?;
    require(parts.epoch.catalog == catalog.catalog, Error::WrongCatalog)?;
    require(parts.epoch.status < status::FINALIZED, Error::WrongStatus)?;
    let overtaken = catalog.finalized_count > 0 && catalog.last_finalized_epoch > parts.epoch.epoch_id;
    let over = now()?.ms > parts.epoch.reveal_deadline_ms;
    require(over && (overtaken || parts.quorum().is_none()), Error::NotExpired)?;
    let EpochParts { epoch, .. } = parts;
    epoch.status = status::EXPIRED;
    emit(event::EpochExpired {
        catalog: epoch.catalog,
        epoch_id: epoch.epoch_id,
        committed: epoch.committed,
        revealed: epoch.revealed,
    });
    Ok(())
}

pub fn close(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::close_epoch::Accounts::parse(accounts)?;
    ix::close_epoch::args(data)?;
    let catalog = catalog(a.catalog, program_id)?;
    let epoch = epoch_mut(a.epoch, program_id)?.epoch;
    require(epoch.catalog == catalog.catalog, Error::WrongCatalog)?;
    require(epoch.status >= status::FINALIZED, Error::WrongStatus)?;
    require(a.opener.address() == &epoch.opener, Error::WrongOpener)?;
    let closes = epoch.reveal_deadline_ms.checked_add(KEEP_MS).ok_or(CommonError::Overflow)?;
    require(now()?.ms > closes, Error::TooEarlyToClose)?;
    emit(event::EpochClosed { catalog: epoch.catalog, epoch_id: epoch.epoch_id });
    let lamports = a.opener.lamports().checked_add(a.epoch.lamports()).ok_or(CommonError::Overflow)?;
    a.opener.set_lamports(lamports);
    a.epoch.set_lamports(0);
    a.epoch.close()
}
