//! Who may initialize a program: its upgrade authority.

use crate::{pda, require, AccountView, Address, Error, ProgramResult};

/// `BPFLoaderUpgradeab1e11111111111111111111111`
const UPGRADEABLE_LOADER: Address = Address::new_from_array([
    2, 168, 246, 145, 78, 136, 161, 176, 226, 16, 21, 62, 247, 99, 174, 43, 0, 194, 185, 61, 22, 193, 36, 210, 192, 83,
    122, 16, 4, 128, 0, 0,
]);
/// `UpgradeableLoaderState::ProgramData`: tag u32 = 3 | slot u64 | option tag u8 | authority [32]
const PROGRAM_DATA_TAG: [u8; 4] = [3, 0, 0, 0];

/// Refuse unless `admin` is the upgrade authority named by this program's data account.
#[inline(never)]
pub fn require_upgrade_authority(
    program_data: &AccountView,
    admin: &AccountView,
    program_id: &Address,
) -> ProgramResult {
    let (address, _) = pda::find(&[program_id.as_array()], &UPGRADEABLE_LOADER)?;
    require(program_data.address() == &address, Error::WrongProgramData)?;
    require(program_data.owned_by(&UPGRADEABLE_LOADER), Error::WrongProgramData)?;
    // SAFETY: an account of another program, which nothing here writes.
    let data = unsafe { program_data.borrow_unchecked() };
    require(data.len() >= 45 && data[..4] == PROGRAM_DATA_TAG && data[12] == 1, Error::WrongProgramData)?;
    require(data[13..45] == *admin.address().as_array(), Error::NotUpgradeAuthority)
}
