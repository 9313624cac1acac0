"""Parts of the linker that need no compiler."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from sbpflink.elf import link
from sbpflink.murmur import murmur3
from sbpflink.reading import LinkError


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", 0),
        (b"abort", 0xB6FC1A11),
        (b"sol_panic_", 0x686093BB),
        (b"sol_log_", 0x207559BD),
        (b"sol_sha256", 0x11F49D86),
    ],
)
def test_syscalls_hash_to_the_numbers_of_the_loader(data, digest):
    assert murmur3(data) == digest


def test_an_unknown_architecture_is_refused():
    with pytest.raises(LinkError, match="v0 or v3"):
        link(b"", "v9")
