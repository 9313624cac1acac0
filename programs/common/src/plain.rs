//! Types that can be read from and written to bytes in place.

/// A type of alignment 1 without padding for which every bit pattern is valid.
///
/// # Safety
/// The implementor must be `repr(C, packed)` or a byte array, with fields that are themselves plain or integers.
pub unsafe trait Plain: Copy + Sized {
    /// The value at the start of `data`, and what follows it. Panics when `data` is too short.
    #[inline(always)]
    fn split(data: &[u8]) -> (&Self, &[u8]) {
        let (head, rest) = data.split_at(size_of::<Self>());
        // SAFETY: the length was checked, alignment is 1 and every bit pattern is valid.
        (unsafe { &*head.as_ptr().cast() }, rest)
    }

    /// Like [`Plain::split`], for writing.
    #[inline(always)]
    fn split_mut(data: &mut [u8]) -> (&mut Self, &mut [u8]) {
        let (head, rest) = data.split_at_mut(size_of::<Self>());
        // SAFETY: as in `split`; the borrow is unique.
        (unsafe { &mut *head.as_mut_ptr().cast() }, rest)
    }

    /// As many values as fit into `data`.
    #[inline(always)]
    fn slice(data: &[u8]) -> &[Self] {
        // SAFETY: the slice covers whole values inside `data`.
        unsafe { core::slice::from_raw_parts(data.as_ptr().cast(), data.len() / size_of::<Self>()) }
    }

    /// Like [`Plain::slice`], for writing.
    #[inline(always)]
    fn slice_mut(data: &mut [u8]) -> &mut [Self] {
        // SAFETY: as in `slice`; the borrow is unique.
        unsafe { core::slice::from_raw_parts_mut(data.as_mut_ptr().cast(), data.len() / size_of::<Self>()) }
    }

    /// The bytes of the value.
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        // SAFETY: no padding, so every byte is initialized.
        unsafe { core::slice::from_raw_parts((self as *const Self).cast(), size_of::<Self>()) }
    }
}

// SAFETY: a byte array.
unsafe impl<const N: usize> Plain for [u8; N] {}
// SAFETY: a transparent wrapper of a byte array.
unsafe impl Plain for pinocchio::Address {}
const _: () = assert!(align_of::<pinocchio::Address>() == 1);
