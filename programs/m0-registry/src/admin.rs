//! Initialization, authorities and the pause switch.

use m0_program_common::account::SYSTEM_PROGRAM;
use m0_program_common::authority::require_upgrade_authority;
use m0_program_common::create::create;
use m0_program_common::event::emit;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramResult};

use crate::interface::{self as ix, event, Root, ROOT_SEED};
use crate::state::{require_role, root_mut};

/// The zero key, which means nobody.
const NOBODY: Address = SYSTEM_PROGRAM;

pub fn initialize_root(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::initialize_root::Accounts::parse(accounts)?;
    let args = ix::initialize_root::args(data)?;
    require_upgrade_authority(a.program_data, a.admin, program_id)?;
    let (root, _) = create::<Root, 1>(a.payer, a.root, program_id, [ROOT_SEED], size_of::<Root>())?;
    root.admin = *a.admin.address();
    root.guardian = args.guardian;
    root.registrar = args.registrar;
    root.resolver = args.resolver;
    emit(event::RootInitialized { admin: root.admin });
    Ok(())
}

pub fn propose_admin(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::propose_admin::Accounts::parse(accounts)?;
    let args = ix::propose_admin::args(data)?;
    let root = root_mut(a.root, program_id)?;
    require_role(&root.admin, a.admin)?;
    root.pending_admin = args.new_admin;
    emit(event::AdminProposed { admin: args.new_admin });
    Ok(())
}

pub fn accept_admin(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::accept_admin::Accounts::parse(accounts)?;
    ix::accept_admin::args(data)?;
    let root = root_mut(a.root, program_id)?;
    require(root.pending_admin != NOBODY, CommonError::NoPendingAdmin)?;
    require_role(&root.pending_admin, a.new_admin)?;
    root.admin = root.pending_admin;
    root.pending_admin = NOBODY;
    emit(event::AdminAccepted { admin: root.admin });
    Ok(())
}

pub fn set_roles(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::set_roles::Accounts::parse(accounts)?;
    let args = ix::set_roles::args(data)?;
    let root = root_mut(a.root, program_id)?;
    require_role(&root.admin, a.admin)?;
    root.guardian = args.guardian;
    root.registrar = args.registrar;
    root.resolver = args.resolver;
    emit(event::RolesSet { guardian: args.guardian, registrar: args.registrar, resolver: args.resolver });
    Ok(())
}

pub fn set_paused(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::set_paused::Accounts::parse(accounts)?;
    let args = ix::set_paused::args(data)?;
    let root = root_mut(a.root, program_id)?;
    let by_guardian = args.paused == 1 && a.authority.address() == &root.guardian;
    require(by_guardian || a.authority.address() == &root.admin, CommonError::Unauthorized)?;
    root.paused = args.paused;
    emit(event::PausedSet { paused: args.paused });
    Ok(())
}
