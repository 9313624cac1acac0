"""Making keys: what is missing, once, whoever asks at the same time."""

from concurrent.futures import ThreadPoolExecutor

from m0chain.keystore import open_key_file, read_passphrase
from m0deploy import keys
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
