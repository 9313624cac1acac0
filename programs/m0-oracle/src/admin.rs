//! Initialization, authorities and the pause switch.

use m0_program_common::account::SYSTEM_PROGRAM;
use m0_program_common::authority::require_upgrade_authority;
use m0_program_common::create::create;
use m0_program_common::event::emit;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramResult};

use crate::interface::{self as ix, event, Config, CONFIG_SEED};
use crate::state::{config_mut, require_admin};

/// The zero key, which means nobody.
const NOBODY: Address = SYSTEM_PROGRAM;

pub fn initialize(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::initialize::Accounts::parse(accounts)?;
    let args = ix::initialize::args(data)?;
    require_upgrade_authority(a.program_data, a.admin, program_id)?;
    let (config, _) = create::<Config, 1>(a.payer, a.config, program_id, [CONFIG_SEED], size_of::<Config>())?;
    config.admin = *a.admin.address();
    config.guardian = args.guardian;
    config.registry_program = args.registry_program;
    emit(event::Initialized { admin: config.admin });
    Ok(())
}

pub fn propose_admin(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::propose_admin::Accounts::parse(accounts)?;
    let args = ix::propose_admin::args(data)?;
    let config = config_mut(a.config, program_id)?;
    require_admin(config, a.authority)?;
    config.pending_admin = args.new_admin;
    emit(event::AdminProposed { admin: args.new_admin });
    Ok(())
}

pub fn accept_admin(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::accept_admin::Accounts::parse(accounts)?;
    ix::accept_admin::args(data)?;
    let config = config_mut(a.config, program_id)?;
    require(config.pending_admin != NOBODY, CommonError::NoPendingAdmin)?;
    require(a.authority.address() == &config.pending_admin, CommonError::Unauthorized)?;
    config.admin = config.pending_admin;
    config.pending_admin = NOBODY;
    emit(event::AdminAccepted { admin: config.admin });
    Ok(())
}

pub fn set_guardian(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::set_guardian::Accounts::parse(accounts)?;
    let args = ix::set_guardian::args(data)?;
    let config = config_mut(a.config, program_id)?;
    require_admin(config, a.authority)?;
    config.guardian = args.guardian;
    emit(event::GuardianSet { guardian: args.guardian });
    Ok(())
}

pub fn set_paused(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::set_paused::Accounts::parse(accounts)?;
    let args = ix::set_paused::args(data)?;
    let config = config_mut(a.config, program_id)?;
    let by_guardian = args.paused == 1 && a.authority.address() == &config.guardian;
    require(by_guardian || a.authority.address() == &config.admin, CommonError::Unauthorized)?;
    config.paused = args.paused;
    emit(event::PausedSet { paused: args.paused });
    Ok(())
}
