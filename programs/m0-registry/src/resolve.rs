//! Recording a market's outcome.

use m0_program_common::clock::now;
use m0_program_common::event::emit;
use m0_program_common::{require, AccountView, Address, ProgramResult};

use crate::interface::{self as ix, event, Error};
use crate::state::{market_mut, require_role, require_running, root, stage};

/// The outcome of a market that has none.
const VOID: u8 = 255;

pub fn resolve(program_id: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let a = ix::resolve_market::Accounts::parse(accounts)?;
    let args = ix::resolve_market::args(data)?;
    let root = root(a.root, program_id)?;
    require_role(&root.resolver, a.resolver)?;
    require_running(root)?;
    let market = market_mut(a.market, program_id)?;
    require(market.resolved == 0, Error::AlreadyResolved)?;
    let old_state = market.state;
    let resolvable = matches!(old_state, stage::ACTIVE | stage::PAUSED | stage::DEPRECATED);
    require(resolvable, Error::NotResolvable)?;
    require(args.outcome < market.outcome_count || args.outcome == VOID, Error::InvalidOutcome)?;
    let now_ms = now()?.ms;
    require(now_ms >= market.resolves_after_ms, Error::TooEarlyToResolve)?;
    market.resolved = 1;
    market.resolution = args.outcome;
    market.resolved_ms = now_ms;
    market.evidence_hash = args.evidence_hash;
    market.state = stage::DEPRECATED;
    let market_key = market.market_key;
    if old_state != stage::DEPRECATED {
        emit(event::MarketStateChanged { market_key, old_state, new_state: stage::DEPRECATED });
    }
    emit(event::MarketResolved {
        market_key,
        outcome: args.outcome,
        evidence_hash: args.evidence_hash,
        resolved_ms: now_ms,
    });
    Ok(())
}
