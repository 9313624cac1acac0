//! The hashed layouts: prediction leaf, bundle header, catalog name.

use crate::hash::Hash;
use crate::plain::Plain;

pub const LEAF_SCHEMA: u16 = 1;
pub const HEADER_SCHEMA: u16 = 1;
pub const HEADER_MAGIC: [u8; 8] = *b"M0BUNDLE";
pub const MAX_OUTCOMES: usize = 32;

/// BundleHeader v1.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Header {
    pub magic: [u8; 8],
    pub schema: u16,
    pub catalog: [u8; 16],
    pub epoch_id: u64,
    pub window_start_ms: i64,
    pub window_end_ms: i64,
    pub signer_set_id: u32,
    pub leaf_count: u32,
    pub merkle_root: Hash,
    pub prev_bundle_hash: Hash,
    pub model_manifest_hash: Hash,
    pub config_hash: Hash,
    pub input_root: Hash,
    pub state_root: Hash,
}
const _: () = assert!(size_of::<Header>() == 250);
// SAFETY: packed integers and byte arrays only.
unsafe impl Plain for Header {}

/// PredictionLeaf v1 up to its outcomes.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct LeafHead {
    pub schema: u16,
    pub market_key: Hash,
    pub epoch_id: u64,
    pub window_end_ms: i64,
    pub schema_version: u16,
    pub outcome_count: u32,
}
// SAFETY: packed integers and byte arrays only.
unsafe impl Plain for LeafHead {}

/// PredictionLeaf v1 after its outcomes.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct LeafTail {
    pub risk_bps: u16,
    pub quality_flags: u32,
    pub model_key: Hash,
    pub features_hash: Hash,
}
// SAFETY: packed integers and byte arrays only.
unsafe impl Plain for LeafTail {}

/// Bytes of one outcome: `p u32 | lo u32 | hi u32`.
const OUTCOME: usize = 12;

/// The parts of a leaf, or None unless its schema is 1, its length exact and its outcomes at most 32.
#[inline(always)]
pub fn parse_leaf(leaf: &[u8]) -> Option<(&LeafHead, &LeafTail)> {
    const ENDS: usize = size_of::<LeafHead>() + size_of::<LeafTail>();
    if leaf.len() < ENDS {
        return None;
    }
    let (head, rest) = LeafHead::split(leaf);
    let count = head.outcome_count as usize;
    if head.schema != LEAF_SCHEMA || count > MAX_OUTCOMES || leaf.len() != ENDS + count * OUTCOME {
        return None;
    }
    Some((head, LeafTail::split(&rest[count * OUTCOME..]).0))
}

/// Whether a name is 1 to 16 bytes of `[a-z0-9_-]`, padded with zero bytes.
#[inline(always)]
pub fn is_catalog_name(name: &[u8; 16]) -> bool {
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(16);
    let (text, padding) = name.split_at(length);
    length > 0
        && text.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
        && padding.iter().all(|byte| *byte == 0)
}
