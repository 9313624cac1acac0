//! Calls: through tables and trait objects, returning structs, with more arguments than registers.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use crate::io::{Input, Output};

trait Shape {
    fn area(&self, k: u64) -> u64;
}
struct Square(u64);
struct Rectangle(u64, u64);
struct Turned(u64);
impl Shape for Square {
    #[inline(never)]
    fn area(&self, k: u64) -> u64 {
        self.0.wrapping_mul(self.0) ^ k
    }
}
impl Shape for Rectangle {
    #[inline(never)]
    fn area(&self, k: u64) -> u64 {
        self.0.wrapping_mul(self.1).wrapping_add(k)
    }
}
impl Shape for Turned {
    #[inline(never)]
    fn area(&self, k: u64) -> u64 {
        self.0.rotate_left(k as u32 & 63)
    }
}

#[inline(never)]
fn three(a: u64, b: u64) -> (u64, u64, u64) {
    (a.wrapping_add(b), a ^ b, a & b)
}
#[inline(never)]
fn optional(a: u128, b: u128) -> Option<u128> {
    a.checked_sub(b)
}
#[inline(never)]
fn array_or_length(data: &[u8]) -> Result<[u8; 32], u32> {
    if data.len() < 32 {
        Err(data.len() as u32)
    } else {
        Ok(data[..32].try_into().unwrap())
    }
}
#[inline(never)]
fn fibonacci(n: u64) -> u64 {
    if n < 2 {
        n
    } else {
        fibonacci(n - 1).wrapping_add(fibonacci(n - 2))
    }
}

fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}
fn multiply(a: u64, b: u64) -> u64 {
    a.wrapping_mul(b)
}
fn xor(a: u64, b: u64) -> u64 {
    a ^ b
}
fn shift(a: u64, b: u64) -> u64 {
    a.wrapping_shl(b as u32)
}
static OPERATIONS: [fn(u64, u64) -> u64; 4] = [add, multiply, xor, shift];
static NAMES: [&str; 5] = ["alpha", "be", "gamma!", "", "delta-delta-delta"];

#[derive(Clone, Copy)]
#[repr(C)]
struct Big {
    words: [u64; 40],
}
#[inline(never)]
fn bumped(big: &Big, i: usize) -> Big {
    let mut copy = *big;
    copy.words[i % 40] = copy.words[i % 40].wrapping_add(1);
    copy
}

pub fn tables_and_structs(input: &mut Input, out: &mut Output) {
    while let Some((a, b)) = input.pair64() {
        let shapes: [Box<dyn Shape>; 3] = [Box::new(Square(a)), Box::new(Rectangle(a, b)), Box::new(Turned(a))];
        out.u64(shapes[(b % 3) as usize].area(b));
        let (sum, difference, common) = three(a, b);
        out.u64(sum);
        out.u64(difference);
        out.u64(common);
        out.opt128(optional((a as u128) << 32, b as u128));
        out.u64(OPERATIONS[(a & 3) as usize](a, b));
        let name = NAMES[(a % 5) as usize];
        out.u64(name.len() as u64);
        out.put(&[name.as_bytes().first().copied().unwrap_or(0)]);
        out.u64(fibonacci(b % 12));
        let big = bumped(&Big { words: [a; 40] }, b as usize);
        out.u64(big.words[(b % 40) as usize]);
        out.u64(big.words[(b.wrapping_add(1) % 40) as usize]);
        out.u64(match a % 11 {
            0 => 17,
            1 => b ^ 5,
            2 => 99,
            3 => b.wrapping_mul(3),
            4 => 1234567890123,
            5 => !b,
            6 => b >> 3,
            7 => 42,
            8 => b << 1,
            9 => 7,
            _ => b.wrapping_sub(a),
        });
        let mut data = [0u8; 40];
        data[..8].copy_from_slice(&a.to_le_bytes());
        data[8..16].copy_from_slice(&b.to_le_bytes());
        match array_or_length(&data[..((b % 41) as usize)]) {
            Ok(x) => out.put(&x[..9]),
            Err(n) => {
                out.put(&n.to_le_bytes());
                out.put(&[0; 5]);
            }
        }
    }
}

pub fn strings(input: &mut Input, out: &mut Output) {
    let (a, b) = (input.u64(), input.u64());
    let text = format!("{}|{:x}|{:>8}|{:?}|{}", a, b, a as i16, (b as u8, "q"), b as i64);
    let first: u64 = text.split('|').next().unwrap().parse().unwrap();
    let last: i64 = text.rsplit('|').next().unwrap().parse().unwrap();
    out.u64(first);
    out.i64(last);
    let mut copy = String::new();
    copy.push_str(&text);
    copy.push('#');
    out.put(copy.as_bytes());
}

type Seven = fn(u64, u64, u64, u64, u64, u64, &mut u64) -> u64;

#[inline(never)]
fn seven(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: &mut u64) -> u64 {
    *g = g.wrapping_add(f);
    a ^ b.wrapping_mul(c) ^ d.wrapping_add(e) ^ f.wrapping_sub(*g)
}
#[inline(never)]
fn other_seven(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: &mut u64) -> u64 {
    *g ^= a;
    a.wrapping_add(b).wrapping_mul(c).wrapping_add(d).wrapping_mul(e).wrapping_add(f)
}
static SEVENS: [Seven; 2] = [seven, other_seven];

pub fn many_arguments(input: &mut Input, out: &mut Output) {
    while let Some((a, b)) = input.pair64() {
        let mut g = b;
        out.u64(seven(a, b, a ^ 1, b ^ 2, a ^ 3, b ^ 4, &mut g));
        out.u64(g);
        out.u64(SEVENS[(a & 1) as usize](a, b, 3, 4, 5, b >> 7, &mut g));
        out.u64(g);
    }
}
