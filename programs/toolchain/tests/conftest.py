"""The probe program, built by the toolchain and run in LiteSVM."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE.parents[1]
sys.path.append(str(HERE))

from solders.compute_budget import set_compute_unit_limit  # noqa: E402
from solders.instruction import Instruction  # noqa: E402
from solders.keypair import Keypair  # noqa: E402
from solders.litesvm import LiteSVM  # noqa: E402
from solders.message import Message  # noqa: E402
from solders.transaction import Transaction  # noqa: E402
from solders.transaction_metadata import FailedTransactionMetadata  # noqa: E402


def _load(path: Path):
    """A script as a module, under a name that nothing else has."""
    spec = importlib.util.spec_from_file_location(f"m0_programs_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUILD = _load(PROGRAMS / "build.py")


class Probe:
    """Sends operations to the probe program."""

    def __init__(self, code: bytes) -> None:
        self.svm = LiteSVM()
        self.payer, self.program = Keypair(), Keypair().pubkey()
        self.svm.airdrop(self.payer.pubkey(), 10**12)
        self.svm.add_program(self.program, code)

    def ask(self, operation: int, data: bytes) -> tuple[bytes | None, list[str]]:
        """The answer (None when the program failed) and the logs. The runtime trims zero bytes at the answer's end."""
        self.svm.expire_blockhash()
        instructions = [set_compute_unit_limit(1_400_000), Instruction(self.program, bytes([operation]) + data, [])]
        message = Message(instructions, self.payer.pubkey())
        result = self.svm.send_transaction(Transaction([self.payer], message, self.svm.latest_blockhash()))
        if isinstance(result, FailedTransactionMetadata):
            return None, result.meta().logs()
        return bytes(result.return_data().data), result.logs()

    def answers(self, operation: int, data: bytes, want: bytes) -> None:
        got, logs = self.ask(operation, data)
        assert got is not None, logs
        assert got.ljust(len(want), b"\0") == want


@pytest.fixture(scope="session")
def build():
    """The build script as a module."""
    return BUILD


@pytest.fixture(scope="session")
def tools(build):
    """The state of the toolchain; skips when the packages it needs are not installed."""
    if lacking := build.missing():
        pytest.skip(lacking)
    state = build.toolchain(PROGRAMS)
    try:
        build.fetch(PROGRAMS)
    except subprocess.CalledProcessError:
        pytest.skip("the crates of crates.lock cannot be fetched")
    return state


@pytest.fixture(scope="session")
def probe(build, tools):
    return Probe(build.compile_program(PROGRAMS, "probe", tools).read_bytes())
