"""The programs' interfaces as Anchor IDLs (spec 0.1.0), and what follows from them.

The JSON files beside this module are copies of `programs/idl/*.json`, shipped in the wheel; a test keeps them
identical and `python -m m0chain.idl.refresh` renews them.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from m0chain.borsh import Codec, IdlType, compile_struct
from m0chain.errors import DecodeError

ORACLE = "m0_oracle"
REGISTRY = "m0_registry"


class IdlAccountMeta(msgspec.Struct, frozen=True):
    """One account of an instruction."""

    name: str
    writable: bool = False
    signer: bool = False
    optional: bool = False
    address: str | None = None


class IdlField(msgspec.Struct, frozen=True):
    """A named argument or field."""

    name: str
    type: IdlType


class IdlInstruction(msgspec.Struct, frozen=True):
    """An instruction: discriminator, accounts in order, arguments in order."""

    name: str
    discriminator: list[int]
    accounts: list[IdlAccountMeta]
    args: list[IdlField]


class IdlDiscriminated(msgspec.Struct, frozen=True):
    """An account or event type and the 8 bytes its data starts with."""

    name: str
    discriminator: list[int]


class IdlError(msgspec.Struct, frozen=True):
    """A numbered error."""

    code: int
    name: str
    msg: str = ""


class _IdlTypeDef(msgspec.Struct, frozen=True):
    name: str
    type: dict[str, Any]  # {"kind": "struct", "fields": […]}: read by the codec compiler


class _IdlFile(msgspec.Struct, frozen=True):
    instructions: list[IdlInstruction]
    accounts: list[IdlDiscriminated] = []
    events: list[IdlDiscriminated] = []
    errors: list[IdlError] = []
    types: list[_IdlTypeDef] = []


class Idl:
    """One program's interface: encoders for its instructions, decoders for its accounts and events, its errors."""

    def __init__(self, name: str, data: bytes) -> None:
        parsed = msgspec.json.decode(data, type=_IdlFile)
        self.name = name
        self.instructions = {i.name: i for i in parsed.instructions}
        self.errors = {e.code: e for e in parsed.errors}
        self.accounts = {a.name: bytes(a.discriminator) for a in parsed.accounts}
        self.events = {e.name: bytes(e.discriminator) for e in parsed.events}
        self.types: dict[str, Mapping[str, Any]] = {t.name: t.type for t in parsed.types}
        self._event_names = {discriminator: n for n, discriminator in self.events.items()}
        self._structs = {n: compile_struct(t["fields"], self.types) for n, t in self.types.items()}
        self._args = {
            i.name: compile_struct([{"name": a.name, "type": a.type} for a in i.args], self.types)
            for i in parsed.instructions
        }

    def fields(self, type_name: str) -> list[str]:
        """The field names of a struct type, in order."""
        return [str(f["name"]) for f in self.types[type_name]["fields"]]

    def encode_args(self, instruction: str, args: Mapping[str, Any]) -> bytes:
        """Instruction data: discriminator and Borsh arguments. DecodeError when a value does not fit its type."""
        spec = self.instructions[instruction]
        wanted = {a.name for a in spec.args}
        if wanted != set(args):
            raise DecodeError(f"{self.name}.{instruction} takes {sorted(wanted)}, not {sorted(args)}")
        out = bytearray(spec.discriminator)
        self._args[instruction].write(args, out)
        return bytes(out)

    def decode_args(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """`(instruction name, arguments)` of instruction data."""
        for name, spec in self.instructions.items():
            if data[:8] == bytes(spec.discriminator):
                args, end = self._args[name].read(data, 8)
                if end != len(data):
                    raise DecodeError(f"{self.name}.{name}: {len(data) - end} bytes too many")
                return name, args
        raise DecodeError(f"{self.name}: no instruction starts with {data[:8].hex()}")

    def decode_account(self, name: str, data: bytes) -> dict[str, Any]:
        """Fields of the account `data`, which may have unused space behind it; DecodeError when it is another one."""
        if data[:8] != self.accounts[name]:
            raise DecodeError(f"{self.name}.{name}: data starts with {data[:8].hex()}, not {self.accounts[name].hex()}")
        fields: dict[str, Any] = self._structs[name].read(data, 8)[0]
        return fields

    def encode_account(self, name: str, fields: Mapping[str, Any]) -> bytes:
        """Account data with its discriminator, for tests and simulators."""
        out = bytearray(self.accounts[name])
        self._structs[name].write(fields, out)
        return bytes(out)

    def decode_event(self, data: bytes) -> tuple[str, dict[str, Any]] | None:
        """`(name, fields)` of event data, None when it is not one of ours; DecodeError when it is malformed."""
        name = self._event_names.get(data[:8])
        if name is None:
            return None
        fields, end = self._structs[name].read(data, 8)
        if end != len(data):
            raise DecodeError(f"{self.name}.{name}: {len(data) - end} bytes too many")
        return name, fields

    def codec(self, type_name: str) -> Codec:
        """The codec of a struct type."""
        return self._structs[type_name]


@cache
def load(name: str) -> Idl:
    """The IDL `m0_oracle` or `m0_registry`, parsed once."""
    return Idl(name, (files(__package__) / f"{name}.json").read_bytes())


def oracle() -> Idl:
    """The IDL of m0-oracle."""
    return load(ORACLE)


def registry() -> Idl:
    """The IDL of m0-registry."""
    return load(REGISTRY)
