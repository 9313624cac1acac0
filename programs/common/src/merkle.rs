//! Merkle trees of the shape of RFC 6962, and the mountain range over finalized bundles.

use crate::hash::{node_hash, Hash};

/// The root that `siblings` lead to from `leaf`, or None when the path does not fit the tree's shape
/// (RFC 9162, section 2.1.3.2).
#[inline(always)]
pub fn root_from_path(leaf: Hash, leaf_index: u32, leaf_count: u32, siblings: &[Hash]) -> Option<Hash> {
    if leaf_index >= leaf_count {
        return None;
    }
    let (mut index, mut last, mut hash) = (leaf_index, leaf_count - 1, leaf);
    for sibling in siblings {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            hash = node_hash(sibling, &hash);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    if last == 0 {
        Some(hash)
    } else {
        None
    }
}

/// Append a leaf hash to a mountain range of `count` leaves: `peaks[i]` is in use when bit i of `count` is set.
/// Returns None when the range is full.
#[inline(always)]
pub fn push_peak(peaks: &mut [Hash], count: u64, leaf: Hash) -> Option<u64> {
    let (mut hash, mut height) = (leaf, 0);
    while count >> height & 1 == 1 {
        let peak = peaks.get_mut(height)?;
        hash = node_hash(peak, &hash);
        *peak = [0; 32];
        height += 1;
    }
    *peaks.get_mut(height)? = hash;
    count.checked_add(1)
}
