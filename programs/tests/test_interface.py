"""The generated files, and that nothing in the interface goes untested."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from m0svm.idl import PROGRAMS, Idl

TESTS = Path(__file__).resolve().parent
NAMES = ("m0_oracle", "m0_registry")


def test_idls_and_rust_interfaces_are_what_their_interface_files_give():
    done = subprocess.run(
        [sys.executable, "generate.py", "--check"],
        cwd=PROGRAMS / "idl",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_committed_file_has_the_hash_written_beside_it():
    listed = {}
    for line in (PROGRAMS / "deploy" / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        listed[name] = digest
        assert hashlib.sha256((PROGRAMS / "deploy" / name).read_bytes()).hexdigest() == digest, name
    assert set(listed) == {f"{n}.so" for n in NAMES} | {f"../idl/{n}.json" for n in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_discriminators_are_anchors(name):
    idl = Idl(name)
    for ins in idl.instructions.values():
        assert bytes(ins["discriminator"]) == hashlib.sha256(f"global:{ins['name']}".encode()).digest()[:8]
    for account, discriminator in idl.accounts.items():
        assert discriminator == hashlib.sha256(f"account:{account}".encode()).digest()[:8]
    for discriminator, event in idl.events.items():
        assert discriminator == hashlib.sha256(f"event:{event}".encode()).digest()[:8]


@pytest.mark.parametrize("name", NAMES)
def test_error_numbers_begin_at_6000_and_never_repeat(name):
    codes = list(Idl(name).errors.values())
    assert codes[0] == 6000
    assert codes == sorted(set(codes))


# Reachable only by states that cannot come about: see where each is raised.
UNREACHABLE = {
    "CatalogInactive",  # no instruction deactivates a catalog yet
}


@pytest.mark.parametrize("name", NAMES)
def test_every_error_and_event_of_the_idl_is_asserted_somewhere(name):
    idl = Idl(name)
    text = "".join(p.read_text() for p in TESTS.glob("test_*.py") if p.name != Path(__file__).name)
    wanted = (set(idl.errors) - UNREACHABLE) | set(idl.events.values())
    assert {w for w in wanted if f'"{w}"' not in text} == set()
