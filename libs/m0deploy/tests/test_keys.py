"""Making keys: what is missing, once, whoever asks at the same time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from m0chain.keystore import open_key_file, read_passphrase
from m0common.errors import M0Error
from m0deploy import keys
from m0deploy.errors import DeployError
from m0deploy.site import Site

SIGNERS, AT_ONCE = 2, 4


def test_of_several_that_make_keys_at_once_each_file_is_made_by_one_and_all_go_together(tmp_path):
    site = Site.of(tmp_path / "site", tmp_path)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        made = list(threads.map(lambda _: keys.init(site, SIGNERS), range(AT_ONCE)))
    assert sorted(item for items in made for item in items) == sorted(keys.items(site, SIGNERS))
    found = keys.read(site, SIGNERS)
    for name, public in found.signers.items():
        assert open_key_file(site.keys / f"{name}.json", read_passphrase(site.passphrase)).public_key == public
    login = site.database_login.read_text().strip().rpartition(":")[2]
    assert login == site.database_password.read_text().strip()


def test_a_passphrase_that_is_gone_is_not_made_again_beside_keys_that_it_opened(tmp_path):
    site = Site.of(tmp_path / "site", tmp_path)
    keys.init(site, SIGNERS)
    site.passphrase.unlink()
    with pytest.raises(
        DeployError, match=r"the passphrase .* is gone, and signer-1.json, signer-2.json beside it cannot"
    ):
        keys.init(site, SIGNERS + 1)
    assert not site.passphrase.exists()
    assert not (site.keys / "signer-3.json").exists()


@pytest.mark.parametrize("name", ["admin.json", "signer-1.json"])
def test_what_lies_where_a_key_belongs_and_is_none_is_named(tmp_path, name):
    site = Site.of(tmp_path / "site", tmp_path)
    keys.init(site, SIGNERS)
    (site.keys / name).write_text("junk")
    with pytest.raises(M0Error, match=rf"key file .*{name}"):
        keys.init(site, SIGNERS)
