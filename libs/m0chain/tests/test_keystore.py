import json

import pytest
from m0chain.keyfile import plain_key
from m0chain.keystore import KeyStoreError, create_key_file, open_key_file, public_key_of, read_passphrase
from m0common.errors import SettingsError
from solders.keypair import Keypair
from solders.signature import Signature


async def test_an_opened_key_signs_as_the_one_that_was_stored(tmp_path):
    keypair = Keypair()
    create_key_file(tmp_path / "k.json", "open sesame", keypair)
    key = open_key_file(tmp_path / "k.json", "open sesame")
    assert key.public_key == keypair.pubkey() == public_key_of(tmp_path / "k.json")
    assert Signature.from_bytes(await key.sign(b"message")).verify(keypair.pubkey(), b"message")


def test_the_file_holds_no_secret_in_the_clear_and_is_private(tmp_path):
    keypair = Keypair()
    create_key_file(tmp_path / "k.json", "pw", keypair)
    content = (tmp_path / "k.json").read_bytes()
    assert keypair.secret().hex().encode() not in content
    assert (tmp_path / "k.json").stat().st_mode & 0o077 == 0


def test_a_wrong_passphrase_and_any_changed_field_are_refused(tmp_path):
    path = tmp_path / "k.json"
    create_key_file(path, "right")
    with pytest.raises(KeyStoreError, match="wrong passphrase"):
        open_key_file(path, "wrong")
    original = json.loads(path.read_text())
    flipped = f"{int(original['ciphertext'][0], 16) ^ 1:x}" + original["ciphertext"][1:]
    for change in (
        {"public_key": str(Keypair().pubkey())},
        {"ciphertext": flipped},
        {"version": 2},
        {"kdf": {**original["kdf"], "memory_kib": 1 << 40}},
        {"cipher": {**original["cipher"], "nonce": "00"}},
        {"extra": 1},
    ):
        path.write_text(json.dumps({**original, **change}))
        with pytest.raises(KeyStoreError):
            open_key_file(path, "right")


@pytest.mark.parametrize("data", [b'{"version":"\xff"}', b"[" * 200_000])
def test_a_key_file_on_which_a_decoder_gives_up_is_named(tmp_path, data):
    path = tmp_path / "k.json"
    path.write_bytes(data)
    with pytest.raises(KeyStoreError, match=str(path)):
        public_key_of(path)
    with pytest.raises(SettingsError, match=f"key file {path} is not a key of the Solana tools"):
        plain_key(path)


def test_a_key_is_never_overwritten(tmp_path):
    path = tmp_path / "k.json"
    create_key_file(path, "pw")
    before = path.read_bytes()
    with pytest.raises(KeyStoreError, match="exists"):
        create_key_file(path, "pw")
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["k.json"]


def test_missing_files_name_the_remedy(tmp_path):
    with pytest.raises(KeyStoreError, match="M0_KEYS_DIR"):
        open_key_file(tmp_path / "none", "pw")
    with pytest.raises(KeyStoreError, match="M0_KEY_PASSPHRASE_FILE"):
        read_passphrase(tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(KeyStoreError, match="empty"):
        read_passphrase(tmp_path / "empty")
