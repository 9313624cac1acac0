//! Creating markets and moving them through their states.

use m0_program_common::borsh::Reader;
use m0_program_common::clock::now;
use m0_program_common::create::create;
use m0_program_common::event::{emit, emit_with_tail};
use m0_program_common::hash::sha256v;
use m0_program_common::plain::Plain;
use m0_program_common::{require, AccountView, Address, Error as CommonError, ProgramError, ProgramResult};

use crate::interface::{self as ix, event, Error, Market, MARKET_SEED};
use crate::state::{catalog_mut, market_mut, require_role, require_running, root, root_mut, stage};

const MAX_MARKET_ID: usize = 64;
const MAX_GROUP: usize = 32;
const MAX_TITLE: usize = 96;
const MAX_OUTCOME: usize = 24;
const OUTCOMES: core::ops::RangeInclusive<usize> = 2..=32;

/// The arguments of `create_market` after its strings.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Numbers {
    schema_version: u16,
    opens_ms: i64,
    resolves_after_ms: i64,
}
// SAFETY: packed integers only.
unsafe impl Plain for Numbers {}

/// The checked arguments of `create_market`.
struct NewMarket<'a> {
    market_id: &'a [u8],
    outcome_count: u8,
    /// `market_id | group | title | outcomes`, as they are stored.
    texts: &'a [u8],
    numbers: &'a Numbers,
}

fn is_text(text: &[u8], longest: usize) -> bool {
    text.len() <= longest && core::str::from_utf8(text).is_ok()
}

#[inline(never)]
fn parse(data: &[u8]) -> Result<NewMarket<'_>, ProgramError> {
    const CUT: CommonError = CommonError::InvalidInstruction;
    let mut reader = Reader(data);
    let market_id = reader.bytes().ok_or(CUT)?;
    let group = reader.bytes().ok_or(CUT)?;
    let title = reader.bytes().ok_or(CUT)?;
    let outcome_count = reader.u32().ok_or(CUT)? as usize;
    let id_length = 1..=MAX_MARKET_ID;
    let id_bytes = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
    require(id_length.contains(&market_id.len()) && market_id.iter().all(id_bytes), Error::InvalidMarketId)?;
    require(is_text(group, MAX_GROUP) && is_text(title, MAX_TITLE), Error::InvalidText)?;
    require(OUTCOMES.contains(&outcome_count), Error::InvalidOutcomes)?;
    for _ in 0..outcome_count {
        let outcome = reader.bytes().ok_or(CUT)?;
        require(!outcome.is_empty() && is_text(outcome, MAX_OUTCOME), Error::InvalidOutcomes)?;
    }
    require(reader.0.len() == size_of::<Numbers>(), CUT)?;
    let (numbers, _) = Numbers::split(reader.0);
    let in_order = numbers.opens_ms >= 0 && numbers.resolves_after_ms >= numbers.opens_ms;
    require(in_order, Error::InvalidTimes)?;
    let texts = &data[..data.len() - size_of::<Numbers>()];
    Ok(NewMarket { market_id, outcome_count: outcome_count as u8, texts, numbers })
}

pub fn create_market(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::create_market::Accounts::parse(accounts)?;
    let data = ix::create_market::args(data)?;
    let root = root_mut(a.root, program_id)?;
    require_role(&root.registrar, a.registrar)?;
    require_running(root)?;
    let new = parse(data)?;
    let catalog = catalog_mut(a.catalog, program_id)?;
    require(catalog.active == 1, Error::CatalogInactive)?;
    let market_key = sha256v(&[new.market_id]);
    let size = size_of::<Market>() + new.texts.len();
    let (market, tail) = create::<Market, 2>(a.payer, a.market, program_id, [MARKET_SEED, &market_key], size)?;
    market.market_key = market_key;
    market.catalog = catalog.catalog;
    market.state = stage::DRAFT;
    market.outcome_count = new.outcome_count;
    market.schema_version = new.numbers.schema_version;
    market.opens_ms = new.numbers.opens_ms;
    market.resolves_after_ms = new.numbers.resolves_after_ms;
    market.created_slot = now()?.slot;
    tail.copy_from_slice(new.texts);
    root.market_count = root.market_count.checked_add(1).ok_or(CommonError::Overflow)?;
    catalog.market_count = catalog.market_count.checked_add(1).ok_or(CommonError::Overflow)?;
    // the event's remaining fields are the arguments, in their order
    emit_with_tail(event::MarketCreated { market_key, catalog: catalog.catalog }, data);
    Ok(())
}

/// Whether a market may be moved from one state to another.
fn is_move(from: u8, to: u8) -> bool {
    use stage::*;
    matches!(
        (from, to),
        (DRAFT, ACTIVE)
            | (ACTIVE, PAUSED)
            | (PAUSED, ACTIVE)
            | (ACTIVE, DEPRECATED)
            | (PAUSED, DEPRECATED)
            | (DEPRECATED, ARCHIVED)
    )
}

pub fn set_state(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::set_market_state::Accounts::parse(accounts)?;
    let args = ix::set_market_state::args(data)?;
    let root = root(a.root, program_id)?;
    require_role(&root.registrar, a.authority)?;
    require_running(root)?;
    let market = market_mut(a.market, program_id)?;
    let old_state = market.state;
    require(is_move(old_state, args.new_state), Error::InvalidTransition)?;
    market.state = args.new_state;
    emit(event::MarketStateChanged { market_key: market.market_key, old_state, new_state: args.new_state });
    Ok(())
}
