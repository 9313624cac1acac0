//! For consumers: verify a prediction, or store it in the market's feed.

use m0_program_common::account::SYSTEM_PROGRAM;
use m0_program_common::borsh::Reader;
use m0_program_common::clock::{now, Now};
use m0_program_common::create::create;
use m0_program_common::event::emit;
use m0_program_common::hash::{leaf_hash, Hash};
use m0_program_common::layout::{parse_leaf, LeafHead, LeafTail};
use m0_program_common::merkle::root_from_path;
use m0_program_common::plain::Plain;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramError, ProgramResult};
use pinocchio::cpi::set_return_data;

use crate::interface::{self as ix, event, Catalog, Error, Feed, FeedEntry, FEED_SEED};
use crate::state::{catalog, config, feed_mut, require_running, ring_entry, FEED_RING};

/// What the caller asks for.
struct Request<'a> {
    epoch_id: u64,
    leaf_index: u32,
    max_age_ms: i64,
    min_signers: u8,
    leaf: &'a [u8],
    siblings: &'a [Hash],
}

/// Read `leaf bytes | siblings vec`.
#[inline(always)]
fn leaf_and_siblings(tail: &[u8]) -> Result<(&[u8], &[Hash]), ProgramError> {
    let mut reader = Reader(tail);
    let leaf = reader.bytes().ok_or(CommonError::InvalidInstruction)?;
    let siblings = reader.vec::<Hash>().ok_or(CommonError::InvalidInstruction)?;
    require(reader.is_empty(), CommonError::InvalidInstruction)?;
    Ok((leaf, siblings))
}

/// A leaf that was found to be in a finalized bundle.
struct Verified<'a> {
    head: &'a LeafHead,
    tail: &'a LeafTail,
    leaf_hash: Hash,
    merkle_root: Hash,
}

#[inline(always)]
fn check<'a>(catalog: &Catalog, request: &Request<'a>, now: &Now) -> Result<Verified<'a>, ProgramError> {
    require(request.max_age_ms >= 0, Error::InvalidMaxAge)?;
    let (head, tail) = parse_leaf(request.leaf).ok_or(Error::InvalidLeaf)?;
    let entry = ring_entry(catalog, request.epoch_id)?;
    let asked_for = head.epoch_id == entry.epoch_id && head.window_end_ms == entry.window_end_ms;
    require(asked_for, Error::LeafMismatch)?;
    require(entry.signers >= request.min_signers, Error::TooFewSigners)?;
    let age_ms = now.ms.checked_sub(entry.window_end_ms).ok_or(CommonError::Overflow)?;
    require(request.max_age_ms == 0 || age_ms <= request.max_age_ms, Error::PredictionTooOld)?;
    let leaf_hash = leaf_hash(request.leaf);
    let root = root_from_path(leaf_hash, request.leaf_index, entry.leaf_count, request.siblings);
    require(root == Some(entry.merkle_root), Error::InvalidProof)?;
    Ok(Verified { head, tail, leaf_hash, merkle_root: entry.merkle_root })
}

pub fn verify(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::verify_prediction::Accounts::parse(accounts)?;
    let (args, tail) = ix::verify_prediction::args(data)?;
    let (leaf, siblings) = leaf_and_siblings(tail)?;
    let request = Request {
        epoch_id: args.epoch_id,
        leaf_index: args.leaf_index,
        max_age_ms: args.max_age_ms,
        min_signers: args.min_signers,
        leaf,
        siblings,
    };
    let verified = check(catalog(a.catalog, program_id)?, &request, &now()?)?;
    let answer = Answer {
        leaf_hash: verified.leaf_hash,
        window_end_ms: verified.head.window_end_ms,
        merkle_root: verified.merkle_root,
    };
    set_return_data(answer.bytes());
    Ok(())
}

/// Return data of `verify_prediction`.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Answer {
    leaf_hash: Hash,
    window_end_ms: i64,
    merkle_root: Hash,
}
// SAFETY: packed integers and byte arrays only.
unsafe impl Plain for Answer {}

pub fn post(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::post_prediction::Accounts::parse(accounts)?;
    let (args, tail) = ix::post_prediction::args(data)?;
    let (leaf, siblings) = leaf_and_siblings(tail)?;
    let request = Request {
        epoch_id: args.epoch_id,
        leaf_index: args.leaf_index,
        max_age_ms: args.max_age_ms,
        min_signers: args.min_signers,
        leaf,
        siblings,
    };
    require_running(config(a.config, program_id)?)?;
    let now = now()?;
    let verified = check(catalog(a.catalog, program_id)?, &request, &now)?;
    let market_key = verified.head.market_key;
    let feed = if a.feed.owned_by(&SYSTEM_PROGRAM) {
        let seeds = [FEED_SEED, &market_key];
        create::<Feed, 2>(a.payer, a.feed, program_id, seeds, size_of::<Feed>())?.0
    } else {
        feed_mut(a.feed, program_id, &market_key)?
    };
    store(feed, &verified, leaf, now.slot)?;
    emit(event::PredictionPosted {
        market_key,
        epoch_id: feed.epoch_id,
        leaf_hash: verified.leaf_hash,
        window_end_ms: feed.window_end_ms,
    });
    Ok(())
}

/// Write a newer prediction into the feed.
#[inline(always)]
fn store(feed: &mut Feed, verified: &Verified, leaf: &[u8], slot: u64) -> ProgramResult {
    let (head, tail) = (verified.head, verified.tail);
    require(feed.post_count == 0 || head.epoch_id > feed.epoch_id, Error::FeedNotOlder)?;
    feed.market_key = head.market_key;
    feed.epoch_id = head.epoch_id;
    feed.window_end_ms = head.window_end_ms;
    feed.posted_slot = slot;
    feed.post_count = feed.post_count.checked_add(1).ok_or(CommonError::Overflow)?;
    let ring_head = feed.ring_head as usize % FEED_RING;
    feed.ring[ring_head] = FeedEntry {
        epoch_id: head.epoch_id,
        window_end_ms: head.window_end_ms,
        risk_bps: tail.risk_bps,
        quality_flags: tail.quality_flags,
        leaf_hash: verified.leaf_hash,
    };
    feed.ring_head = ((ring_head + 1) % FEED_RING) as u32;
    feed.leaf_len = leaf.len() as u16;
    let (used, unused) = feed.leaf.split_at_mut(leaf.len());
    used.copy_from_slice(leaf);
    unused.fill(0);
    Ok(())
}
