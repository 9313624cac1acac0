"""
Build the programs with the toolchain of `toolchain/` into `deploy/`, with their hashes.

    build.py                  build what changed
    build.py --force          from nothing, the toolchain included (also FORCE=1)
    build.py --check          build, and compare with the committed files instead of writing them
    build.py --reproducible   build in a second folder from nothing, and compare

Needs Debian's rustc-web, cargo-web, rust-web-src, llvm-22-dev and g++. RUSTC, CARGO, LLVM name others.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE / "idl"), str(HERE / "toolchain")]

from crates_lock import LockError, restore  # noqa: E402
from idlgen.files import outputs as generated  # noqa: E402

PROGRAMS = ("m0-oracle", "m0-registry")
RUSTC = os.environ.get("RUSTC", "/usr/bin/rustc")
CARGO = os.environ.get("CARGO", "/usr/bin/cargo")
LLVM = Path(os.environ.get("LLVM", "/usr/lib/llvm-22"))
TARGET = "bpfel-solana"
SOURCES = ("Cargo.toml", "crates.lock", "common", "m0-oracle", "m0-registry", "toolchain", "idl", "build.py")
TOOLS = ("bpfel-solana.json", "rt.rs", "lower.cpp", "setup")
LINKER = ("sbpf-link", "sbpflink")


class BuildError(Exception):
    """The build cannot go on; the message says what to do."""


def _digest(paths: list[Path], *more: str) -> str:
    whole = hashlib.sha256("\0".join(more).encode())
    for path in paths:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]


def _files(root: Path, names: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    for name in names:
        path = root / name
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return found


def missing() -> str | None:
    """The first tool that is not here, with the packages to install; None when all are."""
    for tool in (RUSTC, CARGO, str(LLVM / "bin" / "llc"), "g++"):
        if not shutil.which(tool):
            return f"{tool} is missing: install rustc-web cargo-web rust-web-src llvm-22-dev g++"
    return None


def toolchain(root: Path) -> str:
    """Make the toolchain when its sources or the compiler changed; returns what names its state."""
    if lacking := missing():
        raise BuildError(lacking)
    tools = root / "toolchain"
    version = subprocess.run([RUSTC, "-vV"], check=True, capture_output=True, text=True).stdout
    state = _digest(_files(tools, TOOLS), version)
    stamp = tools / "out" / "stamp"
    if not stamp.exists() or stamp.read_text() != state:
        print("building the toolchain (about 30 s)", flush=True)
        subprocess.run([tools / "setup"], check=True, env={**os.environ, "RUSTC": RUSTC})
        stamp.write_text(state)
    return state + "-" + _digest(_files(tools, LINKER))


def built_with() -> str:
    """The compilers, one a line: the bytes depend on them."""
    rustc = subprocess.run([RUSTC, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    llc = [str(LLVM / "bin" / "llc"), "--version"]
    llvm = subprocess.run(llc, check=True, capture_output=True, text=True).stdout
    return f"{rustc}\n{next(line.strip() for line in llvm.splitlines() if 'LLVM version' in line)}\n"


def compile_program(root: Path, name: str, state: str, arch: str = "v0", features: str = "") -> Path:
    """Compile one package of the workspace; returns the path of its shared object."""
    tools = root / "toolchain"
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    flags = [f"--sysroot={tools / 'out' / 'sysroot'}", f"-Clinker={tools / 'sbpf-link'}", "-Cembed-bitcode=yes"]
    flags += [f"--remap-path-prefix={registry}=/crates" for registry in sorted((home / "registry" / "src").glob("*"))]
    # cargo does not see changes of the tools: every state of theirs has its own folder
    target = root / "target" / f"sbpf-{arch}-{state}"
    env = {k: v for k, v in os.environ.items() if k != "RUSTFLAGS"}
    env |= {"RUSTC": RUSTC, "RUSTC_BOOTSTRAP": "1", "SBPF_ARCH": arch, "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)}
    command = [CARGO, "rustc", "--quiet", "--locked", "--release", "--lib", "--crate-type", "cdylib", "-p", name]
    command += ["-Zjson-target-spec", "--target", str(tools / f"{TARGET}.json"), "--target-dir", str(target)]
    command += ["--features", features] if features else []
    if subprocess.run(command, cwd=root, env=env, check=False).returncode:
        raise BuildError(f"{name} does not compile")
    return target / TARGET / "release" / f"lib{name.replace('-', '_')}.so"


def fetch(root: Path) -> None:
    """Restore Cargo.lock and have every crate of it in the local registry."""
    restore(root, CARGO)
    subprocess.run([CARGO, "fetch", "--locked", "--quiet"], cwd=root, check=True)


def build(root: Path) -> dict[str, bytes]:
    """Every program's bytes by the name of its file."""
    state = toolchain(root)
    fetch(root)
    return {f"{n.replace('-', '_')}.so": compile_program(root, n, state).read_bytes() for n in PROGRAMS}


def _sums(programs: dict[str, bytes]) -> str:
    """SHA256SUMS of the programs and IDLs, by paths relative to `deploy/`."""
    files = dict(programs)
    files |= {f"../idl/{path.name}": text.encode() for path, text in generated().items() if path.suffix == ".json"}
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))


def _differences(programs: dict[str, bytes], deploy: Path) -> Iterator[str]:
    made = deploy / "BUILT_WITH"
    if made.read_text() != built_with():
        print(
            f"committed files were built with\n{made.read_text()}and here is\n{built_with()}so bytes may differ",
            flush=True,
        )
    wanted = {**programs, "SHA256SUMS": _sums(programs).encode()}
    for name, data in wanted.items():
        path = deploy / name
        if not path.exists() or path.read_bytes() != data:
            yield f"deploy/{name} is not what the sources give"
    for path, text in generated().items():
        if not path.exists() or path.read_text() != text:
            yield f"{path.relative_to(HERE)} is not what its interface file gives"


def write(programs: dict[str, bytes], deploy: Path) -> None:
    """Write what changed, and say what there is."""
    deploy.mkdir(exist_ok=True)
    beside = {"SHA256SUMS": _sums(programs).encode(), "BUILT_WITH": built_with().encode()}
    for name, data in {**programs, **beside}.items():
        path = deploy / name
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
    for name, data in programs.items():
        print(f"deploy/{name}  {len(data)} bytes  sha256 {hashlib.sha256(data).hexdigest()}")


def elsewhere() -> dict[str, bytes]:
    """The programs as built from nothing in another folder."""
    skip = shutil.ignore_patterns("out", "target", "__pycache__", "tests", "Cargo.lock")
    with tempfile.TemporaryDirectory(prefix="m0-programs-") as tmp:
        root = Path(tmp) / "a" / "deeper" / "folder"
        root.mkdir(parents=True)
        for name in SOURCES:
            source = HERE / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=skip)
            else:
                shutil.copy2(source, root / name)
        probe = "toolchain/tests/probe"
        shutil.copytree(HERE / probe, root / probe, ignore=shutil.ignore_patterns("target"))
        return build(root)


def main() -> int:
    parser = argparse.ArgumentParser(description="build the Solana programs")
    parser.add_argument("--force", action="store_true", default=os.environ.get("FORCE") == "1", help="from nothing")
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    parser.add_argument("--reproducible", action="store_true", help="compare with a build in a second folder")
    args = parser.parse_args()
    if args.force:
        for folder in ("target", "toolchain/out"):
            shutil.rmtree(HERE / folder, ignore_errors=True)
    programs = build(HERE)
    if args.check:
        problems = list(_differences(programs, HERE / "deploy"))
    else:
        write(programs, HERE / "deploy")
        problems = []
    if args.reproducible:
        others = elsewhere()
        problems += [
            f"{name} differs when built in another folder" for name in programs if programs[name] != others[name]
        ]
        if not problems:
            print("both folders give the same bytes")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BuildError, LockError, subprocess.CalledProcessError) as error:
        sys.exit(f"build.py: {error}")
