"""The signer's key port, and the encrypted file behind it.

A key never leaves its store: the signer asks for signatures. Other back ends (HSM, cloud KMS) implement the same port.

A key file is JSON: the public key in base58, Argon2id with its cost and salt, AES-256-GCM with its nonce, and the
ciphertext of the 32-byte ed25519 seed; the public key is authenticated with it.
"""

import secrets
from pathlib import Path
from typing import Protocol

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from m0common.errors import M0Error
from m0common.messages.codec import UNDECODABLE
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from m0chain.keyfile import write_new

_VERSION = 1
_KEY_BYTES = 32
# RFC 9106 section 4, second recommended option: 64 MiB, 3 passes, 4 lanes.
_MEMORY_KIB = 64 * 1024
_ITERATIONS = 3
_LANES = 4
# A file may not make us spend more than this, whoever wrote it.
_MEMORY_KIB_MAX = 1024 * 1024
_ITERATIONS_MAX = 64
_LANES_MAX = 64


class KeyStoreError(M0Error):
    """A key cannot be opened or used; the message says which and what to do."""


class KeyStore(Protocol):
    """Holds one ed25519 key and signs with it."""

    @property
    def public_key(self) -> Pubkey:
        """The signer's address on chain."""
        ...

    async def sign(self, message: bytes) -> bytes:
        """64 bytes of ed25519 signature over `message`; raises KeyStoreError."""
        ...


class Kdf(msgspec.Struct, frozen=True, tag_field="name", tag="argon2id", forbid_unknown_fields=True):
    """Argon2id and its cost."""

    memory_kib: int
    iterations: int
    lanes: int
    salt: str


class Cipher(msgspec.Struct, frozen=True, tag_field="name", tag="aes-256-gcm", forbid_unknown_fields=True):
    """AES-256-GCM with its nonce."""

    nonce: str


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a key file holds."""

    version: int
    public_key: str
    kdf: Kdf
    cipher: Cipher
    ciphertext: str


class MemoryKeyStore:
    """A key in this process's memory: what a key file becomes once opened."""

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair

    @property
    def public_key(self) -> Pubkey:
        return self._keypair.pubkey()

    async def sign(self, message: bytes) -> bytes:
        return bytes(self._keypair.sign_message(message))


def create_key_file(path: Path, passphrase: str, keypair: Keypair | None = None) -> Pubkey:
    """Write a new key (or `keypair`) to `path`, readable by its owner only; never overwrites. Returns its address."""
    keypair = keypair or Keypair()
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    kdf = Kdf(_MEMORY_KIB, _ITERATIONS, _LANES, salt.hex())
    public_key = str(keypair.pubkey())
    ciphertext = AESGCM(_derive(passphrase, kdf)).encrypt(nonce, keypair.secret(), public_key.encode())
    content = msgspec.json.encode(KeyFile(_VERSION, public_key, kdf, Cipher(nonce.hex()), ciphertext.hex()))
    try:
        write_new(path, content + b"\n")
    except FileExistsError:
        raise KeyStoreError(f"key file {path} exists: move it away if you really want a new key") from None
    return keypair.pubkey()


def public_key_of(path: Path) -> Pubkey:
    """The address in a key file, without opening it."""
    return Pubkey.from_string(_read(path).public_key)


def open_key_file(path: Path, passphrase: str) -> MemoryKeyStore:
    """Decrypt a key file; KeyStoreError when it is missing, malformed or the passphrase is wrong."""
    file = _read(path)
    try:
        seed = AESGCM(_derive(passphrase, file.kdf)).decrypt(
            bytes.fromhex(file.cipher.nonce), bytes.fromhex(file.ciphertext), file.public_key.encode()
        )
        keypair = Keypair.from_seed(seed)
    except InvalidTag:
        raise KeyStoreError(f"key file {path}: wrong passphrase, or the file was changed") from None
    except ValueError as error:
        raise KeyStoreError(f"key file {path} is malformed: {error}") from error
    if str(keypair.pubkey()) != file.public_key:
        raise KeyStoreError(f"key file {path}: the key inside is not {file.public_key}")
    return MemoryKeyStore(keypair)


def read_passphrase(path: Path) -> str:
    """The first line of a passphrase file."""
    try:
        first = path.read_text().splitlines()[:1]
    except (OSError, UnicodeDecodeError) as error:
        raise KeyStoreError(f"passphrase file {path}: {error}: set M0_KEY_PASSPHRASE_FILE") from error
    if not first or not first[0]:
        raise KeyStoreError(f"passphrase file {path} is empty")
    return first[0]


def _read(path: Path) -> KeyFile:
    try:
        file = msgspec.json.decode(path.read_bytes(), type=KeyFile)
    except FileNotFoundError:
        raise KeyStoreError(f"key file {path} does not exist: create it, or set M0_KEYS_DIR") from None
    except (OSError, *UNDECODABLE) as error:
        raise KeyStoreError(f"key file {path}: {error}") from error
    if file.version != _VERSION:
        raise KeyStoreError(f"key file {path} has version {file.version}: this installation reads version {_VERSION}")
    within = (
        8 * file.kdf.lanes <= file.kdf.memory_kib <= _MEMORY_KIB_MAX
        and 1 <= file.kdf.iterations <= _ITERATIONS_MAX
        and 1 <= file.kdf.lanes <= _LANES_MAX
    )
    if not within:
        raise KeyStoreError(f"key file {path}: Argon2id cost out of range: {file.kdf}")
    return file


def _derive(passphrase: str, kdf: Kdf) -> bytes:
    return hash_secret_raw(
        passphrase.encode(),
        bytes.fromhex(kdf.salt),
        time_cost=kdf.iterations,
        memory_cost=kdf.memory_kib,
        parallelism=kdf.lanes,
        hash_len=_KEY_BYTES,
        type=Type.ID,
    )
