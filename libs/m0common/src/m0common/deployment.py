"""What makes a deployment this one and no other. It is fixed for a deployment's life and checked against the log."""

from dataclasses import dataclass

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
