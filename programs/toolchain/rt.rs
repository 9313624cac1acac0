//! The helpers that lower.cpp calls, and the memory functions that core and rustc expect.
//!
//! Only 64-bit arithmetic here: a u128 `*`, `/`, `%` or variable shift would be lowered into a call of these very
//! helpers (lower.cpp refuses that). A 128-bit value is a pair, low word first; helpers take its words one by one and
//! write their result through a pointer.
#![no_std]
#![no_builtins]

extern "C" {
    fn sol_memcpy_(to: *mut u8, from: *const u8, n: u64);
    fn sol_memmove_(to: *mut u8, from: *const u8, n: u64);
    fn sol_memset_(to: *mut u8, byte: u8, n: u64);
    fn sol_memcmp_(a: *const u8, b: *const u8, n: u64, result: *mut i32);
}

/// Low word, high word.
type Wide = (u64, u64);

const LOW: u64 = 0xffff_ffff;

// ---------------------------------------------------------------- 64-bit building blocks

/// `a / b` without a check for zero: the caller of a 128-bit division has made one.
#[inline(always)]
fn div(a: u64, b: u64) -> u64 {
    if b == 0 {
        unsafe { core::hint::unreachable_unchecked() }
    }
    a / b
}

#[inline(always)]
fn rem(a: u64, b: u64) -> u64 {
    if b == 0 {
        unsafe { core::hint::unreachable_unchecked() }
    }
    a % b
}

/// The full product of two words.
#[inline(always)]
fn product(a: u64, b: u64) -> Wide {
    let (al, ah, bl, bh) = (a & LOW, a >> 32, b & LOW, b >> 32);
    let t = ah * bl + ((al * bl) >> 32);
    let u = al * bh + (t & LOW);
    (a.wrapping_mul(b), ah * bh + (t >> 32) + (u >> 32))
}

#[inline(always)]
fn negate(x: Wide) -> Wide {
    let (lo, borrow) = 0u64.overflowing_sub(x.0);
    (lo, 0u64.wrapping_sub(x.1).wrapping_sub(borrow as u64))
}

#[inline(always)]
fn subtract(a: Wide, b: Wide) -> Wide {
    let (lo, borrow) = a.0.overflowing_sub(b.0);
    (lo, a.1.wrapping_sub(b.1).wrapping_sub(borrow as u64))
}

#[inline(always)]
fn at_least(a: Wide, b: Wide) -> bool {
    a.1 > b.1 || (a.1 == b.1 && a.0 >= b.0)
}

/// Leading zeros of a word that is not zero.
#[inline(always)]
fn leading_zeros(mut x: u64) -> u32 {
    let mut n = 0;
    let mut width = 32;
    while width >= 2 {
        if x >> (64 - width) == 0 {
            n += width;
            x <<= width;
        }
        width /= 2;
    }
    n + (x >> 63 == 0) as u32
}

/// `x << shift | next >> (64 - shift)` for a shift from 0 to 63.
#[inline(always)]
fn funnel(x: u64, next: u64, shift: u32) -> u64 {
    if shift == 0 {
        x
    } else {
        x << shift | next >> (64 - shift)
    }
}

#[inline(always)]
unsafe fn put(out: *mut u64, x: Wide) {
    *out = x.0;
    *out.add(1) = x.1;
}

// ---------------------------------------------------------------- multiplication

#[no_mangle]
pub extern "C" fn __sbpf_umulh(a: u64, b: u64) -> u64 {
    product(a, b).1
}

#[no_mangle]
pub unsafe extern "C" fn __sbpf_mul128(out: *mut u64, a: u64, a1: u64, b: u64, b1: u64) {
    let (lo, hi) = product(a, b);
    put(out, (lo, hi.wrapping_add(a.wrapping_mul(b1)).wrapping_add(a1.wrapping_mul(b))));
}

/// The product, and whether it left 128 bits.
#[inline(always)]
fn checked_product(a: Wide, b: Wide) -> (Wide, bool) {
    let (lo, hi) = product(a.0, b.0);
    let (x, x_over) = if b.1 == 0 { (0, 0) } else { product(a.0, b.1) };
    let (y, y_over) = if a.1 == 0 { (0, 0) } else { product(a.1, b.0) };
    let (hi, carry) = hi.overflowing_add(x);
    let (hi, carry2) = hi.overflowing_add(y);
    let over = (a.1 != 0 && b.1 != 0) | (x_over != 0) | (y_over != 0) | carry | carry2;
    ((lo, hi), over)
}

#[no_mangle]
pub unsafe extern "C" fn __sbpf_umulo128(out: *mut u64, a: u64, a1: u64, b: u64, b1: u64) {
    let (x, over) = checked_product((a, a1), (b, b1));
    put(out, x);
    *out.add(2) = over as u64;
}

#[no_mangle]
pub unsafe extern "C" fn __sbpf_smulo128(out: *mut u64, a: u64, a1: u64, b: u64, b1: u64) {
    const MIN: Wide = (0, 1 << 63);
    let (a_negative, b_negative) = ((a1 as i64) < 0, (b1 as i64) < 0);
    let a = if a_negative { negate((a, a1)) } else { (a, a1) };
    let b = if b_negative { negate((b, b1)) } else { (b, b1) };
    let (mut x, mut over) = checked_product(a, b);
    if a_negative != b_negative {
        over |= x != MIN && at_least(x, MIN);
        x = negate(x);
    } else {
        over |= (x.1 as i64) < 0;
    }
    put(out, x);
    *out.add(2) = over as u64;
}

// ---------------------------------------------------------------- division

/// `(hi:lo) / d` and the remainder, for d with its top bit set and hi < d: Knuth's algorithm D with 32-bit digits.
#[inline(always)]
fn div_normalized(hi: u64, lo: u64, d: u64) -> (u64, u64) {
    let (d1, d0) = (d >> 32, d & LOW);
    let step = |n: u64, next: u64| {
        let (mut q, mut r) = (div(n, d1), rem(n, d1));
        while q > LOW || q * d0 > (r << 32 | next) {
            q -= 1;
            r += d1;
            if r > LOW {
                break;
            }
        }
        (q, (n << 32 | next).wrapping_sub(q.wrapping_mul(d)))
    };
    let (q1, r) = step(hi, lo >> 32);
    let (q0, r) = step(r, lo & LOW);
    (q1 << 32 | q0, r)
}

/// Division by a divisor of at most 32 bits, digit by digit.
#[inline(always)]
fn div_short(a: Wide, d: u64) -> (Wide, u64) {
    let digits = [a.1 >> 32, a.1 & LOW, a.0 >> 32, a.0 & LOW];
    let (mut q, mut r) = ([0u64; 4], 0u64);
    let mut i = 0;
    while i < 4 {
        let part = r << 32 | digits[i];
        q[i] = div(part, d);
        r = rem(part, d);
        i += 1;
    }
    ((q[2] << 32 | q[3], q[0] << 32 | q[1]), r)
}

/// Quotient and remainder; b is not zero.
#[inline(always)]
fn div_rem(a: Wide, b: Wide) -> (Wide, Wide) {
    if b.1 == 0 && a.1 == 0 {
        return ((div(a.0, b.0), 0), (rem(a.0, b.0), 0));
    }
    if b.1 == 0 && b.0 >> 32 == 0 {
        let (q, r) = div_short(a, b.0);
        return (q, (r, 0));
    }
    if b.1 == 0 {
        let (q_hi, r_hi) = (div(a.1, b.0), rem(a.1, b.0));
        let shift = leading_zeros(b.0);
        let (q_lo, r) = div_normalized(funnel(r_hi, a.0, shift), a.0 << shift, b.0 << shift);
        return ((q_lo, q_hi), (r >> shift, 0));
    }
    if !at_least(a, b) {
        return ((0, 0), a);
    }
    // The quotient is below 2^64. Estimate it from the divisor's top 64 bits: after the -1 it is at most one too small.
    let shift = leading_zeros(b.1);
    let (estimate, _) = div_normalized(a.1 >> 1, a.1 << 63 | a.0 >> 1, funnel(b.1, b.0, shift));
    let mut q = estimate >> (63 - shift);
    if q > 0 {
        q -= 1;
    }
    let (lo, hi) = product(q, b.0);
    let mut r = subtract(a, (lo, hi.wrapping_add(q.wrapping_mul(b.1))));
    if at_least(r, b) {
        q += 1;
        r = subtract(r, b);
    }
    ((q, 0), r)
}

/// Quotient into `out[..2]`, remainder into `out[2..4]`.
#[inline(never)]
unsafe fn div_rem_into(out: *mut u64, a: u64, a1: u64, b: u64, b1: u64) {
    let (q, r) = div_rem((a, a1), (b, b1));
    put(out, q);
    put(out.add(2), r);
}

#[no_mangle]
pub unsafe extern "C" fn __sbpf_udiv128(out: *mut u64, a: u64, a1: u64, b: u64, b1: u64) {
    let mut t = [0u64; 4];
    div_rem_into(t.as_mut_ptr(), a, a1, b, b1);
    put(out, (t[0], t[1]));
}

#[no_mangle]
pub unsafe extern "C" fn __sbpf_urem128(out: *mut u64, a: u64, a1: u64, b: u64, b1: u64) {
    let mut t = [0u64; 4];
    div_rem_into(t.as_mut_ptr(), a, a1, b, b1);
    put(out, (t[2], t[3]));
}

// ---------------------------------------------------------------- memory

#[inline(always)]
unsafe fn word(p: *const u8, i: usize) -> u64 {
    (p.add(i) as *const u64).read_unaligned()
}

/// Below these sizes a loop is cheaper than the syscall.
const COPY_INLINE: usize = 40;
const ORDER_INLINE: usize = 32;
const EQUAL_INLINE: usize = 96;

#[no_mangle]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if n > COPY_INLINE {
        sol_memcpy_(to, from, n as u64);
        return to;
    }
    let mut i = 0;
    while i + 8 <= n {
        (to.add(i) as *mut u64).write_unaligned(word(from, i));
        i += 8;
    }
    while i < n {
        *to.add(i) = *from.add(i);
        i += 1;
    }
    to
}

#[no_mangle]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    sol_memmove_(to, from, n as u64);
    to
}

#[no_mangle]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    sol_memset_(to, byte as u8, n as u64);
    to
}

#[no_mangle]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    if n > ORDER_INLINE {
        let mut result = 0;
        sol_memcmp_(a, b, n as u64, &mut result);
        return result;
    }
    let mut i = 0;
    while i + 8 <= n && word(a, i) == word(b, i) {
        i += 8;
    }
    while i < n {
        let (x, y) = (*a.add(i), *b.add(i));
        if x != y {
            return x as i32 - y as i32;
        }
        i += 1;
    }
    0
}

#[no_mangle]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    if n > EQUAL_INLINE {
        return memcmp(a, b, n);
    }
    let mut i = 0;
    while i + 8 <= n {
        if word(a, i) != word(b, i) {
            return 1;
        }
        i += 8;
    }
    while i < n {
        if *a.add(i) != *b.add(i) {
            return 1;
        }
        i += 1;
    }
    0
}
