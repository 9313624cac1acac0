//! Arithmetic and indexing that must panic instead of giving a wrong result.

use crate::io::{Input, Output};

pub fn may_panic(operation: u8, input: &mut Input, out: &mut Output) {
    if operation == 25 || operation == 26 {
        let (a, b) = (input.u128(), input.u128());
        return out.u128(if operation == 25 { a * b } else { a / b });
    }
    let (a, b) = (input.u64(), input.u64());
    match operation {
        20 => out.u64(a + b),
        21 => out.u64(a * b),
        22 => out.u64(a / b),
        23 => out.i64((a as i64) / (b as i64)),
        24 => {
            let rest = input.0;
            out.u64(rest[(a as usize).min(5000) + b as usize % 3] as u64)
        }
        27 => out.i64((a as i64) * (b as i64)),
        _ => out.u64(a - b),
    }
}
