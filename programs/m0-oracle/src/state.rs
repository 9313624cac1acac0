//! Loading the program's accounts with every check: owner, type, version, address.

use m0_program_common::account::{load, parts_mut};
use m0_program_common::hash::Hash;
use m0_program_common::pda::check_address;
use m0_program_common::plain::Plain;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramError, ProgramResult};

use crate::interface::{
    Catalog, Config, Epoch, Error, Feed, RingEntry, SignerSet, Tally, CATALOG_SEED, CONFIG_SEED, EPOCH_SEED, FEED_SEED,
    SIGNER_SET_SEED,
};

pub const MAX_SIGNERS: usize = 32;
pub const RING: usize = 64;
pub const FEED_RING: usize = 16;
pub const NO_TALLY: u8 = 255;

/// Values of `Epoch::status`.
pub mod status {
    pub const OPEN: u8 = 0;
    pub const COMMITTING: u8 = 1;
    pub const REVEALING: u8 = 2;
    pub const FINALIZED: u8 = 3;
    pub const EXPIRED: u8 = 4;
}

#[inline(never)]
pub fn config<'a>(view: &'a AccountView, program_id: &Address) -> Result<&'a Config, ProgramError> {
    let (config, _) = load::<Config>(view, program_id)?;
    check_address(view, program_id, [CONFIG_SEED, &[config.bump]])?;
    Ok(config)
}

#[inline(never)]
pub fn config_mut<'a>(view: &'a mut AccountView, program_id: &Address) -> Result<&'a mut Config, ProgramError> {
    config(view, program_id)?;
    Ok(parts_mut(view).0)
}

#[inline(never)]
pub fn require_admin(config: &Config, authority: &AccountView) -> ProgramResult {
    require(authority.address() == &config.admin, CommonError::Unauthorized)
}

#[inline(never)]
pub fn require_running(config: &Config) -> ProgramResult {
    require(config.paused == 0, CommonError::Paused)
}

/// A signer set and its keys, ascending.
pub struct Signers<'a> {
    pub set: &'a SignerSet,
    pub keys: &'a [Address],
}

impl Signers<'_> {
    /// The member's position, which is its bit in the masks of an epoch.
    #[inline(never)]
    pub fn position(&self, signer: &Address) -> Result<usize, ProgramError> {
        self.keys.binary_search(signer).map_err(|_| Error::NotASigner.into())
    }
}

#[inline(never)]
pub fn signer_set<'a>(view: &'a AccountView, program_id: &Address) -> Result<Signers<'a>, ProgramError> {
    let (set, tail) = load::<SignerSet>(view, program_id)?;
    check_address(view, program_id, [SIGNER_SET_SEED, &set.id.to_le_bytes(), &[set.bump]])?;
    Ok(Signers { set, keys: &Address::slice(&tail[4..])[..set.count as usize] })
}

#[inline(never)]
pub fn catalog<'a>(view: &'a AccountView, program_id: &Address) -> Result<&'a Catalog, ProgramError> {
    let (catalog, _) = load::<Catalog>(view, program_id)?;
    check_address(view, program_id, [CATALOG_SEED, &catalog.catalog, &[catalog.bump]])?;
    Ok(catalog)
}

#[inline(never)]
pub fn catalog_mut<'a>(view: &'a mut AccountView, program_id: &Address) -> Result<&'a mut Catalog, ProgramError> {
    catalog(view, program_id)?;
    Ok(parts_mut(view).0)
}

/// Bytes of an epoch account for `count` signers.
pub const fn epoch_size(count: usize) -> usize {
    size_of::<Epoch>() + 4 + count * size_of::<Hash>() + 4 + count * size_of::<Tally>()
}

/// An epoch account: its fields, one commitment per signer, and the tallies in use.
pub struct EpochParts<'a> {
    pub epoch: &'a mut Epoch,
    pub commitments: &'a mut [Hash],
    tally_count: &'a mut [u8; 4],
    tally_slots: &'a mut [Tally],
}

impl<'a> EpochParts<'a> {
    #[inline(never)]
    pub fn new(epoch: &'a mut Epoch, tail: &'a mut [u8]) -> Self {
        let (_, tail) = <[u8; 4]>::split_mut(tail);
        let (commitments, tail) = tail.split_at_mut(epoch.count as usize * size_of::<Hash>());
        let (tally_count, tail) = <[u8; 4]>::split_mut(tail);
        Self { epoch, commitments: Hash::slice_mut(commitments), tally_count, tally_slots: Tally::slice_mut(tail) }
    }

    #[inline(never)]
    pub fn tallies(&mut self) -> &mut [Tally] {
        let count = u32::from_le_bytes(*self.tally_count) as usize;
        &mut self.tally_slots[..count]
    }

    /// Add a tally. There is one slot per signer, and a signer reveals once.
    #[inline(never)]
    pub fn add_tally(&mut self, tally: Tally) -> ProgramResult {
        let count = u32::from_le_bytes(*self.tally_count);
        *self.tally_slots.get_mut(count as usize).ok_or(CommonError::Overflow)? = tally;
        *self.tally_count = (count + 1).to_le_bytes();
        Ok(())
    }

    /// Index, in `tallies`, of the bundle that most signers revealed (the first of equals), when they reach the threshold.
    #[inline(never)]
    pub fn quorum(&mut self) -> Option<usize> {
        let (mut best, mut index) = (self.epoch.threshold as u32, None);
        for (i, tally) in self.tallies().iter().enumerate() {
            let signers = { tally.mask }.count_ones();
            if signers > best || (signers == best && index.is_none()) {
                (best, index) = (signers, Some(i));
            }
        }
        index
    }
}

#[inline(never)]
pub fn epoch_mut<'a>(view: &'a mut AccountView, program_id: &Address) -> Result<EpochParts<'a>, ProgramError> {
    let (epoch, _) = load::<Epoch>(view, program_id)?;
    check_address(view, program_id, [EPOCH_SEED, &epoch.catalog, &epoch.epoch_id.to_le_bytes(), &[epoch.bump]])?;
    let (epoch, tail) = parts_mut(view);
    Ok(EpochParts::new(epoch, tail))
}

#[inline(never)]
pub fn feed_mut<'a>(
    view: &'a mut AccountView,
    program_id: &Address,
    market_key: &Hash,
) -> Result<&'a mut Feed, ProgramError> {
    let (feed, _) = load::<Feed>(view, program_id)?;
    check_address(view, program_id, [FEED_SEED, market_key, &[feed.bump]])?;
    Ok(parts_mut(view).0)
}

/// The catalog's ring entry of an epoch, searched from the newest.
#[inline(never)]
pub fn ring_entry(catalog: &Catalog, epoch_id: u64) -> Result<&RingEntry, ProgramError> {
    let filled = catalog.finalized_count.min(RING as u64) as usize;
    let mut index = catalog.ring_head as usize;
    for _ in 0..filled {
        index = (index + RING - 1) % RING;
        let entry = &catalog.ring[index];
        if entry.epoch_id == epoch_id {
            return Ok(entry);
        }
        if entry.epoch_id < epoch_id {
            break;
        }
    }
    Err(Error::EpochNotInRing.into())
}
