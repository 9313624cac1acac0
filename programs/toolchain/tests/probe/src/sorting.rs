//! Sorting, maps and searching.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::io::{Input, Output};

/// Input: mode u8, then words.
pub fn sorts(input: &mut Input, out: &mut Output) {
    let mode = input.u8();
    let mut words: Vec<u64> = Vec::new();
    while input.0.len() >= 8 {
        words.push(input.u64());
    }
    match mode {
        0 => words.sort_unstable(),
        1 => {
            let mut signed: Vec<i64> = words.iter().map(|x| *x as i64).collect();
            signed.sort_unstable();
            words = signed.iter().map(|x| *x as u64).collect();
        }
        2 => {
            let key = |(i, x): (usize, &u64)| ((*x & 7) as u8, (i as u64) << 8 | *x & 7);
            let mut pairs: Vec<(u8, u64)> = words.iter().enumerate().map(key).collect();
            pairs.sort_unstable_by_key(|pair| (pair.0, pair.1));
            words = pairs.iter().map(|pair| pair.1).collect();
        }
        3 => {
            let mut fixed = [0u64; 120];
            let n = words.len();
            fixed[..n].copy_from_slice(&words);
            fixed[..n].sort_unstable_by(|a, b| b.cmp(a));
            words.copy_from_slice(&fixed[..n]);
        }
        4 => {
            let mut sums = BTreeMap::new();
            for (i, x) in words.iter().enumerate() {
                *sums.entry(*x & 31).or_insert(0u64) += i as u64;
            }
            words = sums.iter().map(|(k, x)| k << 32 | x).collect();
        }
        5 => {
            let n = words.len();
            if n > 0 {
                let median = *words.select_nth_unstable(n / 2).1;
                words.clear();
                words.push(median);
            }
        }
        _ => {
            words.sort_unstable();
            words.dedup();
            out.u64(match words.binary_search(&500) {
                Ok(i) => i as u64,
                Err(i) => 1000 + i as u64,
            });
        }
    }
    for x in words {
        out.u64(x);
    }
}
