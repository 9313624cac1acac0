//! Events, as one `sol_log_data` entry each: discriminator, then the Borsh fields.

use crate::plain::Plain;

/// An event's fields of fixed size; those of varying length follow them.
pub trait Event: Plain {
    const DISCRIMINATOR: [u8; 8];
}

#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Framed<T> {
    discriminator: [u8; 8],
    body: T,
}

// SAFETY: packed and made of plain parts.
unsafe impl<T: Plain> Plain for Framed<T> {}

/// Largest event with a tail, in bytes.
const BUFFER: usize = 1400;

/// Log an event whose fields are all of fixed size.
#[inline(always)]
pub fn emit<T: Event>(body: T) {
    log_data(Framed { discriminator: T::DISCRIMINATOR, body }.bytes());
}

/// Log an event with the encoded fields of varying length in `tail`.
/// Panics when the event is larger than a transaction could have carried.
#[inline(always)]
pub fn emit_with_tail<T: Event>(body: T, tail: &[u8]) {
    let head = Framed { discriminator: T::DISCRIMINATOR, body };
    let head = head.bytes();
    let mut buffer = [0u8; BUFFER];
    buffer[..head.len()].copy_from_slice(head);
    buffer[head.len()..head.len() + tail.len()].copy_from_slice(tail);
    log_data(&buffer[..head.len() + tail.len()]);
}

#[inline(always)]
fn log_data(data: &[u8]) {
    let parts = [data];
    #[cfg(target_os = "solana")]
    // SAFETY: the syscall reads (pointer, length) pairs, the layout of slices.
    unsafe {
        pinocchio::syscalls::sol_log_data(parts.as_ptr().cast(), parts.len() as u64)
    };
    #[cfg(not(target_os = "solana"))]
    let _ = parts;
}
