"""The control keys of a deployment: files in a folder of their own, which the bootstrap and the warden alone read."""

from pathlib import Path

from m0chain.keyfile import plain_key
from m0common.errors import SettingsError
from solders.keypair import Keypair


class ControlKeys:
    """The key files in `folder`; a key that was handed on may lie there beside its successor."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, catalog: str, wanted: bytes) -> Keypair:
        """The key of which 32 bytes are the public one. Raises SettingsError with the remedy."""
        for path in sorted(self._folder.glob("*.json")):
            key = plain_key(path)
            if bytes(key.pubkey()) == wanted:
                return key
        raise SettingsError(
            f"the control key of {catalog} is {wanted.hex()}, which no file in {self._folder} holds: put its file there"
        )
