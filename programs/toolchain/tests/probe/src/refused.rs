//! What the VM cannot do. With one of the features, linking must fail.

use crate::io::{Input, Output};

#[cfg(feature = "float")]
pub fn refused(input: &mut Input, out: &mut Output) {
    let (a, b) = (f64::from_bits(input.u64()), f64::from_bits(input.u64()));
    out.u64((a * b).to_bits());
}

#[cfg(feature = "writable-static")]
pub fn refused(input: &mut Input, out: &mut Output) {
    static mut TOTAL: u64 = 1;
    unsafe {
        TOTAL = TOTAL.wrapping_add(input.u64());
        out.u64(TOTAL);
    }
}

#[cfg(feature = "deep-frame")]
pub fn refused(input: &mut Input, out: &mut Output) {
    let mut words = [0u64; 1000];
    while let Some((a, b)) = input.pair64() {
        words[(a % 1000) as usize] = b;
    }
    out.u64(core::hint::black_box(&words)[7]);
}
