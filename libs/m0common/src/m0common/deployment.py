"""What makes a deployment this one and no other. It is fixed for a deployment's life and checked against the log.

Whoever needs a program id, the genesis hash, the control key or the number of partitions takes it from here
(`m0chain.programs` for program ids as keys): nobody else reads them out of the settings.
"""

from dataclasses import dataclass
from typing import Literal

from m0common.errors import SettingsError
from m0common.settings import Settings


@dataclass(frozen=True, slots=True)
class Deployment:
    """`genesis_hash` of the chain and the first `control_key`, 32 bytes each, and the `partitions` of every topic."""

    genesis_hash: bytes
    control_key: bytes
    partitions: int

    @classmethod
    def of(cls, settings: Settings) -> "Deployment":
        """The deployment that the settings name. Raises SettingsError naming what is missing."""
        return cls(
            _hex32("M0_GENESIS_HASH", settings.deployment.genesis_hash),
            _hex32("M0_CONTROL_KEY", settings.deployment.control_key),
            settings.kafka.partitions,
        )


ProgramName = Literal["oracle", "registry", "fee_router", "governance"]

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def program_ids(settings: Settings) -> dict[ProgramName, str]:
    """Every program of the settings by name, base58; empty for what is not deployed."""
    said = settings.deployment
    return {
        "oracle": said.oracle_program_id,
        "registry": said.registry_program_id,
        "fee_router": said.fee_router_program_id,
        "governance": said.governance_program_id,
    }


def program_id(settings: Settings, name: ProgramName) -> bytes:
    """The 32 bytes of a deployed program's address. Raises SettingsError naming the variable."""
    value = program_ids(settings)[name]
    digits = [_ALPHABET.find(letter) for letter in value]
    number = 0
    for digit in digits:
        number = number * 58 + digit
    zeros = len(value) - len(value.lstrip("1"))
    if not value or min(digits) < 0 or zeros + (number.bit_length() + 7) // 8 != 32:
        raise SettingsError(
            f"M0_{name.upper()}_PROGRAM_ID is {value!r}: deploy the program and name its address, 32 bytes in base58"
        )
    return number.to_bytes(32, "big")


def _hex32(variable: str, value: str) -> bytes:
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise SettingsError(
            f"{variable} is {value!r}: set it to 64 hex digits, as 'm0 up' or the bootstrap printed them"
        )
    return raw
