"""The control key of a deployment: what it signs, and how it hands on to the next key."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from m0chain.keyfile import plain_key
from m0common.canonical import certificate_message
from m0common.errors import SettingsError
from m0common.messages.codec import UNDECODABLE
from m0lanes.authority import control_keys
from m0lanes.control import CERTIFICATES_MAX, Certificate
from solders.keypair import Keypair


class ControlKey:
    """The key that may sign what brings `certificates`. Raises SettingsError when nobody vouches for it."""

    def __init__(
        self, keypair: Keypair, first: bytes, genesis_hash: bytes, certificates: Iterable[Certificate] = ()
    ) -> None:
        """Args: `first` is the deployment's control key."""
        public = bytes(keypair.pubkey())
        self.genesis_hash, self.certificates = genesis_hash, tuple(certificates)
        valid = control_keys(first, genesis_hash, self.certificates)
        if public != valid[-1]:
            which = "was replaced by" if public in valid else "is not the deployment's:"
            raise SettingsError(f"control key {public.hex()} {which} {valid[-1].hex()}: give that one with --key")
        self._keypair = keypair

    def sign(self, message: bytes) -> bytes:
        """The 64-byte ed25519 signature of a message."""
        return bytes(self._keypair.sign_message(message))


def certify(old: Keypair, new: bytes, genesis_hash: bytes) -> Certificate:
    """The word of `old` for the public key `new` (32 bytes). Raises SettingsError for its word for itself."""
    public = bytes(old.pubkey())
    if public == new:
        raise SettingsError(f"{new.hex()} is the old control key itself: give the new one with --new")
    word = old.sign_message(certificate_message(genesis_hash, public, new))
    return Certificate(public.hex(), new.hex(), bytes(word).hex())


def chained(
    known: Sequence[Certificate], given: Iterable[Certificate], first: bytes, genesis_hash: bytes
) -> tuple[Certificate, ...]:
    """`known` and behind them those given, in their order; one that is known already is passed over.

    Raises SettingsError naming the first that does not go on from the key before it: the chain begins with `first`.
    """
    chain = list(known)
    for certificate in given:
        if certificate in chain:
            continue
        last = control_keys(first, genesis_hash, chain)[-1].hex()
        if certificate.old != last:
            raise SettingsError(
                f"the certificate of {certificate.new} is by {certificate.old}, and the chain has come to {last}: "
                f"give the certificate that {last} signed before it"
            )
        chain.append(certificate)
        if len(control_keys(first, genesis_hash, chain)) <= len(chain):
            raise SettingsError(
                f"the certificate of {certificate.new} is not signed by {last} for the chain with genesis hash "
                f"{genesis_hash.hex()}: make it again with 'm0 control-key certify'"
            )
    if len(chain) > CERTIFICATES_MAX:
        raise SettingsError(f"{len(chain)} certificates: a set has at most {CERTIFICATES_MAX}")
    return tuple(chain)


def read_certificate(path: Path) -> Certificate:
    """The certificate in a file that `m0 control-key certify` wrote. Raises SettingsError naming the file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Certificate)
    except (OSError, *UNDECODABLE) as error:
        raise SettingsError(f"{path} is no certificate of 'm0 control-key certify': {error}") from None


class ControlKeys:
    """The control keys of a deployment, in a folder of their own, which the bootstrap and the warden alone read. A key
    that was handed on may lie there beside its successor.
    """

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
