//! Integer arithmetic of every width the compiler has.

use crate::io::{Input, Output};

pub fn u64s(input: &mut Input, out: &mut Output) {
    while let Some((a, b)) = input.pair64() {
        out.opt64(a.checked_add(b));
        out.opt64(a.checked_sub(b));
        out.opt64(a.checked_mul(b));
        out.u64(a.wrapping_mul(b));
        out.u64(a.saturating_mul(b));
        out.u64(a.saturating_add(b));
        out.u64(a.saturating_sub(b));
        out.opt64(a.checked_div(b));
        out.opt64(a.checked_rem(b));
        out.u64(a.abs_diff(b));
        out.opt64(a.checked_pow((b & 7) as u32));
    }
}

pub fn u128_products(input: &mut Input, out: &mut Output) {
    while let Some((a, b)) = input.pair128() {
        out.u128(a.wrapping_mul(b));
        out.opt128(a.checked_mul(b));
        out.opt128(a.checked_add(b));
        out.opt128(a.checked_sub(b));
        out.u128((a as u64 as u128) * (b as u64 as u128));
        out.u128(a.saturating_mul(b));
        out.bools(&[a < b, a == b]);
    }
}

pub fn u128_quotients(input: &mut Input, out: &mut Output) {
    while let Some((a, b)) = input.pair128() {
        out.opt128(a.checked_div(b));
        out.opt128(a.checked_rem(b));
        out.u128(a / 10);
        out.u128(a % 1_000_003);
        out.u128(a / ((b as u64) | 1) as u128);
        out.u128(((a as u64 as u128) * (b as u64 as u128)) / 1_000_000_007u128);
    }
}

pub fn i64s(input: &mut Input, out: &mut Output) {
    while let Some((a, b)) = input.pair64() {
        let (a, b) = (a as i64, b as i64);
        out.opt_i64(a.checked_div(b));
        out.opt_i64(a.checked_rem(b));
        out.opt_i64(a.checked_mul(b));
        out.opt_i64(a.checked_add(b));
        out.opt_i64(a.checked_sub(b));
        out.opt_i64(a.checked_neg());
        out.i64(a / 7);
        out.i64(a % 1000);
        out.i64(a / 16);
        out.i64(a >> (b & 63));
        out.i64(a.rem_euclid(97));
        out.i64(a.div_euclid(97));
        out.i64(a.saturating_mul(b));
        out.u64(a.unsigned_abs());
        let (a32, b32) = (a as i32, b as i32);
        out.opt_i64(a32.checked_div(b32).map(i64::from));
        out.opt_i64(a32.checked_rem(b32).map(i64::from));
        out.opt_i64(a32.checked_mul(b32).map(i64::from));
        out.opt_i64((a as i16).checked_div(b as i16).map(i64::from));
        out.opt_i64((a as i8).checked_rem(b as i8).map(i64::from));
        out.bools(&[a < b, a32 < b32]);
    }
}

#[inline(never)]
fn difference(a: i128, b: i128) -> i128 {
    a.wrapping_sub(b)
}

pub fn i128s(input: &mut Input, out: &mut Output) {
    while let Some((a, b)) = input.pair128() {
        let (a, b) = (a as i128, b as i128);
        out.opt_i128(a.checked_div(b));
        out.opt_i128(a.checked_rem(b));
        out.opt_i128(a.checked_mul(b));
        out.i128(a.wrapping_mul(b));
        out.opt_i128(a.checked_add(b));
        out.opt_i128(a.checked_sub(b));
        out.i128(difference(a, b));
        out.i128((a as i64 as i128) * (b as i64 as i128));
        out.bools(&[a < b]);
    }
}

pub fn bits(input: &mut Input, out: &mut Output) {
    while let Some((a, b)) = input.pair64() {
        let wide = (a as u128) << 64 | b as u128;
        let shift = (b & 127) as u32;
        out.u64(a.leading_zeros() as u64);
        out.u64(a.trailing_zeros() as u64);
        out.u64(a.count_ones() as u64);
        out.u64(a.rotate_left(shift));
        out.u64(a.swap_bytes());
        out.u64(a.reverse_bits());
        out.u128(wide << shift);
        out.u128(wide >> shift);
        out.i128((wide as i128) >> shift);
        out.u64(wide.leading_zeros() as u64);
        out.u64(wide.trailing_zeros() as u64);
        out.u64(a.isqrt());
        out.u64(a.checked_ilog10().unwrap_or(99) as u64);
        out.u64(a.checked_ilog2().unwrap_or(99) as u64);
        out.u64((a as u32).wrapping_mul(b as u32) as u64);
        out.u64(((a as u32) / ((b as u32) | 1)) as u64);
        out.u64(((a as u16) % ((b as u16) | 1)) as u64);
        out.i64(a as i8 as i64);
        out.i64(a as i32 as i64);
        out.u64((a as u32).swap_bytes() as u64);
        out.u64((a as u16).swap_bytes() as u64);
        out.u64((a as u32).wrapping_shr(b as u32) as u64);
        out.i64((a as i32).wrapping_shr(b as u32) as i64);
        out.u128(wide.isqrt());
    }
}
