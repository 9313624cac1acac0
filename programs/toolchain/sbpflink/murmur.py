"""MurmurHash3 (32 bits, seed 0): how SBPF v3 names syscalls."""

_MASK = 0xFFFFFFFF


def _rotate(x: int, by: int) -> int:
    return (x << by | x >> (32 - by)) & _MASK


def _mix(k: int) -> int:
    return _rotate(k * 0xCC9E2D51 & _MASK, 15) * 0x1B873593 & _MASK


def murmur3(data: bytes) -> int:
    """The hash of `data`. Source: MurmurHash3_x86_32."""
    h, whole = 0, len(data) // 4 * 4
    for at in range(0, whole, 4):
        h = (_rotate(h ^ _mix(int.from_bytes(data[at : at + 4], "little")), 13) * 5 + 0xE6546B64) & _MASK
    if data[whole:]:
        h ^= _mix(int.from_bytes(data[whole:], "little"))
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & _MASK
    h = (h ^ h >> 13) * 0xC2B2AE35 & _MASK
    return h ^ h >> 16
