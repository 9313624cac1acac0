//! Time on chain.

use pinocchio::sysvars::{clock::Clock, Sysvar};

use crate::{Error, ProgramError};

/// The slot, and the cluster's time in UTC milliseconds.
pub struct Now {
    pub slot: u64,
    pub ms: i64,
}

#[inline(always)]
pub fn now() -> Result<Now, ProgramError> {
    let clock = Clock::get()?;
    let ms = clock.unix_timestamp.checked_mul(1000).ok_or(Error::Overflow)?;
    Ok(Now { slot: clock.slot, ms })
}
