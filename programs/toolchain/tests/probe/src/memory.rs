//! Copying, filling and comparing slices of every length.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::io::{Input, Output};

const BUFFER: usize = 700;

/// Input: length u16, offset u16, mode u8, then the source.
pub fn copies(input: &mut Input, out: &mut Output) {
    let (n, at, mode) = (input.u16() as usize, input.u16() as usize, input.u8());
    let source = input.0;
    let mut buffer = [0u8; BUFFER];
    buffer[..source.len()].copy_from_slice(source);
    match mode {
        0 => buffer[at..at + n].copy_from_slice(&source[..n]),
        1 => buffer.copy_within(0..n, at),
        2 => buffer.copy_within(at..at + n, 0),
        3 => buffer[at..at + n].fill(source[0]),
        4 => {
            let part: [u8; 33] = source[..33].try_into().unwrap();
            buffer[at..at + 33].copy_from_slice(&part);
        }
        5 => {
            let part: [u8; 129] = source[..129].try_into().unwrap();
            buffer[at..at + 129].copy_from_slice(&part);
        }
        6 => buffer[at..at + n].reverse(),
        7 => {
            let (x, y) = buffer.split_at_mut(BUFFER / 2);
            let n = n.min(BUFFER / 2);
            x[..n].swap_with_slice(&mut y[..n]);
        }
        8 => buffer[..n].rotate_left(if n == 0 { 0 } else { at % n }),
        9 => {
            let masked: Vec<u8> = source[..n].iter().map(|x| x ^ 0x5a).collect();
            let mut twice = masked.clone();
            twice.extend_from_slice(&masked[..at.min(n)]);
            twice.truncate(600);
            buffer[..twice.len()].copy_from_slice(&twice);
        }
        _ => {
            let mut rows = [[0u8; 7]; 20];
            for (i, row) in rows.iter_mut().enumerate() {
                row.copy_from_slice(&source[i * 7..i * 7 + 7]);
            }
            for (i, row) in rows.iter().rev().enumerate() {
                buffer[at + i * 7..at + i * 7 + 7].copy_from_slice(row);
            }
        }
    }
    out.put(&buffer);
}

/// Input: two lengths u16, then the two slices.
pub fn comparisons(input: &mut Input, out: &mut Output) {
    let (la, lb) = (input.u16() as usize, input.u16() as usize);
    let a = input.bytes(la);
    let b = input.bytes(lb);
    out.put(&[match a.cmp(b) {
        Ordering::Less => 0,
        Ordering::Equal => 1,
        Ordering::Greater => 2,
    }]);
    out.bools(&[a == b, a.starts_with(b), a.ends_with(b), a.contains(&7)]);
    let shorter = la.min(lb);
    out.bools(&[a[..shorter] == b[..shorter]]);
    if shorter >= 32 {
        let (x, y): ([u8; 32], [u8; 32]) = (a[..32].try_into().unwrap(), b[..32].try_into().unwrap());
        out.bools(&[x == y, x < y]);
    }
    if shorter >= 20 {
        let (x, y): ([u8; 20], [u8; 20]) = (a[..20].try_into().unwrap(), b[..20].try_into().unwrap());
        out.bools(&[x == y, x > y]);
    }
    out.u64(a.iter().position(|x| *x == 7).unwrap_or(9999) as u64);
    out.u64(a.iter().fold(0u64, |h, x| h.wrapping_mul(31).wrapping_add(*x as u64)));
}
