"""What a chain begins with: accounts from the files that ``solana account`` writes, programs from ``.so`` files."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import base58
import msgspec
import zstandard
from m0common.messages.codec import UNDECODABLE
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from m0localnet.errors import AccountRefused, FixtureError
from m0localnet.vm import UPGRADEABLE_LOADER, Vm

MAX_ACCOUNT_BYTES: Final = 10 * 2**20
_PROGRAM: Final = 2
_PROGRAM_DATA: Final = 3
_FROM_FILE: Final = "-"
_ELF: Final = b"\x7fELF"
_OVERHEAD_BYTES: Final = 128
_LAMPORTS_PER_BYTE_YEAR: Final = 3_480
_EXEMPTION_YEARS: Final = 2


class _Shown(msgspec.Struct, rename="camel"):
    lamports: int
    data: Any  # a pair of text and encoding, or base58 text alone
    owner: str
    executable: bool = False
    rent_epoch: int | float = 0


class _Dump(msgspec.Struct):
    pubkey: str
    account: dict[str, Any]


def read_account(value: Any) -> Account:
    """Read an account in the form in which the RPC shows it; raises :class:`FixtureError` that names the fault."""
    try:
        shown = msgspec.convert(value, _Shown)
    except msgspec.ValidationError as error:
        raise FixtureError(str(error)) from None
    for name, number in (("lamports", shown.lamports), ("rentEpoch", shown.rent_epoch)):
        if not 0 <= number <= 2**64:
            raise FixtureError(f"{name} must lie in 0 .. 2^64, got {number}")
    # 2^64 - 1 comes back as 2^64 from tools that keep numbers as floats
    rent_epoch = min(int(shown.rent_epoch), 2**64 - 1)
    lamports = min(shown.lamports, 2**64 - 1)
    return Account(lamports, _data(shown.data), _address(shown.owner, "owner"), shown.executable, rent_epoch)


def _data(value: Any) -> bytes:
    text, encoding = (value, "base58") if isinstance(value, str) else _pair(value)
    try:
        raw = base58.b58decode(text) if encoding == "base58" else base64.b64decode(text, validate=True)
        if encoding == "base64+zstd":
            raw = zstandard.ZstdDecompressor().decompress(raw, max_output_size=MAX_ACCOUNT_BYTES)
    except (ValueError, zstandard.ZstdError) as error:
        raise FixtureError(f"its data is not {encoding}: {error}") from None
    if len(raw) > MAX_ACCOUNT_BYTES:
        raise FixtureError(f"its data has {len(raw)} bytes, an account holds {MAX_ACCOUNT_BYTES}")
    return raw


def _pair(value: Any) -> tuple[str, str]:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(each, str) for each in value):
        text, encoding = value
        if encoding in ("base58", "base64", "base64+zstd"):
            return text, encoding
        raise FixtureError(f"its data is in the encoding {encoding!r}; take base64, base64+zstd or base58")
    raise FixtureError('its data must be a pair like ["AQI=", "base64"]; dump it with --output json-compact')


def _address(text: str, what: str) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except ValueError:
        raise FixtureError(f"{what} {text!r} is no address") from None


def _named(text: str, what: str) -> Pubkey:
    """Return the address that ``text`` is, or that of the key in the file it names."""
    try:
        return Pubkey.from_string(text)
    except ValueError:
        pass
    try:
        return Keypair.from_json(Path(text).read_text()).pubkey()
    except OSError as error:
        raise FixtureError(f"{what} {text!r} is neither an address nor a key file: {error.strerror}") from None
    except ValueError as error:
        raise FixtureError(f"{what} {text!r} is no key file: {error}") from None


@dataclass(slots=True)
class Fixtures:
    """The accounts a chain begins with, and where each comes from."""

    accounts: dict[Pubkey, Account] = field(default_factory=dict)
    sources: dict[Pubkey, Path] = field(default_factory=dict)

    def _add(self, key: Pubkey, account: Account, source: Path) -> None:
        if key in self.accounts:
            raise FixtureError(f"{source}: the account {key} is already given by {self.sources[key]}; leave one out")
        self.accounts[key], self.sources[key] = account, source

    def add_program(self, address: str, file: Path, authority: str | None) -> None:
        """
        Add the program in an ELF file under ``address``, an address or a key file; likewise ``authority``.

        Without an authority, or with "none", nobody can upgrade it. Raises :class:`FixtureError`.
        """
        key = _named(address, "program address")
        owner = Pubkey.default() if authority in (None, "none") else _named(str(authority), "upgrade authority")
        code = _read(file)
        if not code.startswith(_ELF):
            raise FixtureError(f"{file} is no program: it does not begin as an ELF file; build it with cargo build-sbf")
        data_key = Pubkey.find_program_address([bytes(key)], UPGRADEABLE_LOADER)[0]
        head = struct.pack("<IQB", _PROGRAM_DATA, 0, 1) + bytes(owner)
        program = struct.pack("<I", _PROGRAM) + bytes(data_key)
        self._add(key, _rent_exempt(program, executable=True), file)
        self._add(data_key, _rent_exempt(head + code, executable=False), file)

    def add_account(self, address: str, file: Path) -> None:
        """Add the account in a file, under ``address`` or ("-") its own; raises :class:`FixtureError`."""
        try:
            dump = msgspec.json.decode(_read(file), type=_Dump)
            key = _address(dump.pubkey if address == _FROM_FILE else address, "account address")
            account = read_account(dump.account)
        except (*UNDECODABLE, FixtureError) as error:
            raise FixtureError(f"{file} holds no account: {error}") from None
        self._add(key, account, file)

    def add_folder(self, folder: Path) -> None:
        """Add the accounts in the JSON files of a folder; raises :class:`FixtureError`."""
        if not folder.is_dir():
            raise FixtureError(f"{folder} is no folder of account files")
        for file in sorted(folder.glob("*.json")):
            self.add_account(_FROM_FILE, file)

    def load(self, vm: Vm) -> None:
        """Put everything into a new virtual machine; raises :class:`FixtureError` that names the file at fault."""
        try:
            vm.load(self.accounts)
        except AccountRefused as error:
            raise FixtureError(f"{self.sources[error.address]}: {error}") from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FixtureError(f"cannot read {file}: {error.strerror}") from None


def _rent_exempt(data: bytes, *, executable: bool) -> Account:
    lamports = (_OVERHEAD_BYTES + len(data)) * _LAMPORTS_PER_BYTE_YEAR * _EXEMPTION_YEARS
    return Account(lamports, data, UPGRADEABLE_LOADER, executable)


def read(
    programs: Sequence[tuple[str, str, str | None]], accounts: Iterable[tuple[str, str]], folders: Iterable[Path]
) -> Fixtures:
    """Read what the command line names: programs with their authorities, account files, folders of account files."""
    found = Fixtures()
    for address, file, authority in programs:
        found.add_program(address, Path(file), authority)
    for address, file in accounts:
        found.add_account(address, Path(file))
    for folder in folders:
        found.add_folder(folder)
    return found
