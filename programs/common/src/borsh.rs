//! Borsh values of varying length, read in place.

use crate::plain::Plain;

/// Reads from the front of a byte slice; every method returns None when too few bytes are left.
#[derive(Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    #[inline(always)]
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        if length > self.0.len() {
            return None;
        }
        let (head, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(head)
    }

    #[inline(always)]
    pub fn u32(&mut self) -> Option<u32> {
        let head = self.take(4)?;
        Some(u32::from_le_bytes(*<[u8; 4]>::split(head).0))
    }

    /// `bytes` or the bytes of a `string`.
    #[inline(always)]
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    /// A vector of plain values.
    #[inline(always)]
    pub fn vec<T: Plain>(&mut self) -> Option<&'a [T]> {
        let count = self.u32()? as usize;
        let data = self.take(count.checked_mul(size_of::<T>())?)?;
        Some(T::slice(data))
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
