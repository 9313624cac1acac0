//! SHA-256 through the runtime.

pub type Hash = [u8; 32];

/// SHA-256 of the concatenated parts.
#[inline(always)]
pub fn sha256v(parts: &[&[u8]]) -> Hash {
    let mut out = core::mem::MaybeUninit::<Hash>::uninit();
    #[cfg(target_os = "solana")]
    // SAFETY: the syscall reads (pointer, length) pairs, the layout of slices, and writes 32 bytes.
    unsafe {
        pinocchio::syscalls::sol_sha256(parts.as_ptr().cast(), parts.len() as u64, out.as_mut_ptr().cast());
        out.assume_init()
    }
    #[cfg(not(target_os = "solana"))]
    {
        let _ = (parts, &mut out);
        unimplemented!("hashing needs the Solana runtime")
    }
}

/// `sha256(0x00 | data)`: the hash of a leaf.
#[inline(always)]
pub fn leaf_hash(data: &[u8]) -> Hash {
    sha256v(&[&[0], data])
}

/// `sha256(0x01 | left | right)`: the hash of an inner node.
#[inline(always)]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256v(&[&[1], left, right])
}
