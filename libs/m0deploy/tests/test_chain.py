"""Provisioning a chain of the test's own: from nothing, again, and when what is there contradicts what is wanted."""

import asyncio
import dataclasses
import itertools
import json
import shutil
import time
from pathlib import Path

import pytest
from m0chain import ChainClient, accounts, pda
from m0chain.keyfile import plain_key
from m0chain.keystore import open_key_file, read_passphrase
from m0common import deployment_record
from m0common.deployment import Deployment, program_id
from m0common.errors import SettingsError
from m0common.settings import load
from m0deploy import chain, clusters, keys
from m0deploy.changes import Changes
from m0deploy.errors import DeployError
from m0deploy.site import Site
from m0local.testing import chain_node
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

PROGRAMS = Path(__file__).parents[3] / "programs" / "deploy"

CONFIG = """
env = "dev"
[catalogs.sports]
commit_ms = 5000
reveal_ms = 5000
"""
MARKETS = """
[catalog]
domain = "sports"
model = "football"
epoch_ms = {epoch_ms}
horizon_ms = 600000
groups = ["eng.1"]
[catalog.sources]
clock = {{ kinds = ["epoch_end"], key = true }}
[catalog.params]
signer_set_id = 1
"""


@pytest.fixture(scope="module")
def localnet(tmp_path_factory):
    with chain_node(tmp_path_factory.mktemp("chain")) as url:
        yield url


@dataclasses.dataclass
class Deployed:
    """A chain and the folder of a deployment on it."""

    url: str
    home: Path
    programs: Path = PROGRAMS
    registry: Path | None = None

    @property
    def site(self):
        home = self.home
        return Site(home / "keys", home / "control", home / "deployment.json", self.programs, registry=self.registry)

    def settings(self, **solana):
        environ = {"M0_RPC_URL": self.url, "M0_DEPLOYMENT_FILE": str(self.site.record), **solana}
        return load(environ, self.home / "config.toml")

    def provision(self, apply=True, **solana):
        """The keys that are missing and the step; what it changed."""
        changes = Changes(lambda _: None, apply=apply)
        if apply:
            keys.ensure(self.site, 3)
        asyncio.run(chain.provision(self.site, self.settings(**solana), changes))
        return changes.said + [f"WANTED {sentence}" for sentence in changes.wanted]


@pytest.fixture(scope="module")
def stack(localnet, tmp_path_factory):
    made = Deployed(localnet, tmp_path_factory.mktemp("home"))
    (made.home / "config.toml").write_text(CONFIG)
    (made.home / "markets").mkdir()
    markets(made.home, 5000)
    keys.ensure(made.site, 3)
    due = made.provision(apply=False)
    assert made.provision() == due
    verbs = (verb for verb, _ in itertools.groupby(sentence.split()[0] for sentence in due))
    assert list(verbs) == ["give", "deploy", "initialize", "create", "write"]
    return made


def markets(home, epoch_ms):
    (home / "markets" / "sports.toml").write_text(MARKETS.format(epoch_ms=epoch_ms))


def test_the_record_names_programs_and_signers(stack):
    record = deployment_record.read(stack.site.record)
    assert set(record["programs"]) == {"oracle", "registry"}
    assert record["signer_set_id"] == 1
    assert [s["name"] for s in record["signers"]] == ["signer-1", "signer-2", "signer-3"]
    assert record["rpc_url"] == stack.url


def test_the_record_keeps_where_raw_was_restored_to(stack):
    record = deployment_record.read(stack.site.record)
    restored = record | {deployment_record.RESTORED_ENDS: [5] * 8}
    deployment_record.write(stack.site.record, restored | {"rpc_url": "another"})
    try:
        assert any("write the record" in sentence for sentence in stack.provision())
        assert deployment_record.read(stack.site.record) == restored
    finally:
        deployment_record.write(stack.site.record, record)


def test_a_service_that_is_told_of_the_record_knows_its_deployment(stack):
    async def genesis():
        async with ChainClient(stack.url) as client:
            return (await client.call(lambda c: c.get_genesis_hash())).value

    known = Deployment.of(stack.settings())
    assert known.genesis_hash == bytes(asyncio.run(genesis()))
    assert known.control_key == bytes(plain_key(stack.site.control_key).pubkey())
    assert program_id(stack.settings(), "oracle") == bytes(plain_key(stack.site.keys / "program-oracle.json").pubkey())


def test_a_lost_control_key_is_not_replaced_by_another(stack):
    path = stack.site.control_key
    kept = path.read_bytes()
    path.unlink()
    try:
        for attempt in (stack.provision, lambda: stack.provision(apply=False)):
            with pytest.raises(DeployError, match=r"control key .*control\.json is gone .*make clean"):
                attempt()
        assert not path.exists()
    finally:
        path.write_bytes(kept)
        path.chmod(0o600)


def test_clock_and_registry_have_keys_of_their_own(stack):
    found = {name: plain_key(stack.site.keys / f"{name}.json").pubkey() for name in ("clock", "registry")}
    assert found["registry"] != plain_key(stack.site.keys / "program-registry.json").pubkey()
    assert len({*found.values(), plain_key(stack.site.control_key).pubkey()}) == 3


def test_signers_keys_open_with_the_passphrase_of_the_stack(stack):
    passphrase = read_passphrase(stack.site.passphrase)
    for signer in deployment_record.read(stack.site.record)["signers"]:
        key = open_key_file(stack.site.keys / f"{signer['name']}.json", passphrase)
        assert str(key.public_key) == signer["public_key"]


def test_every_key_is_readable_by_its_owner_alone(stack):
    assert stack.site.keys.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in stack.site.keys.iterdir())


def test_a_second_run_takes_no_time_and_changes_nothing(stack):
    before = stack.site.record.read_text()
    started = time.monotonic()
    stack.provision()
    assert time.monotonic() - started < 10
    assert stack.site.record.read_text() == before


def test_a_phase_length_that_the_chain_cannot_change_is_named(stack):
    markets(stack.home, 7000)
    try:
        with pytest.raises(DeployError, match=r"sports was created on chain with epoch_ms = 5000.*says 7000"):
            stack.provision()
    finally:
        markets(stack.home, 5000)


@pytest.mark.parametrize(
    ("lost", "sentence"),
    [("admin.json", "upgraded|admin"), ("signer-2.json", "signer set 1 on chain is not that of the keys directory")],
)
def test_lost_keys_are_an_error_that_says_what_to_restore(stack, lost, sentence):
    path = stack.site.keys / lost
    kept = path.read_bytes()
    path.unlink()
    try:
        with pytest.raises(DeployError, match=sentence):
            stack.provision()
    finally:
        path.write_bytes(kept)
    stack.provision()


def test_a_damaged_key_is_named(stack):
    path = stack.site.keys / "guardian.json"
    kept = path.read_bytes()
    path.write_text(json.dumps([1, 2, 3]))
    try:
        with pytest.raises(SettingsError, match=r"guardian\.json is not a key of the Solana tools"):
            stack.provision()
    finally:
        path.write_bytes(kept)


def test_a_new_registrar_is_given_its_role(stack):
    (stack.site.keys / "registrar.json").unlink()
    stack.provision()

    async def root():
        address = pda.registry_root(
            Pubkey.from_string(deployment_record.read(stack.site.record)["programs"]["registry"])
        )
        async with ChainClient(stack.url) as client:
            return accounts.root((await client.account(address)).data)

    assert asyncio.run(root()).registrar == plain_key(stack.site.keys / "registrar.json").pubkey()


def test_programs_that_were_not_built_are_an_error_that_names_the_command(stack, tmp_path):
    with pytest.raises(DeployError, match="make programs"):
        dataclasses.replace(stack, programs=tmp_path).provision()


@pytest.fixture
def public(stack, monkeypatch, tmp_path):
    """The same chain as if it were devnet, whose registry has the programs."""
    record = deployment_record.read(stack.site.record)
    monkeypatch.setitem(clusters.GENESIS_HASHES, "devnet", str(Hash(bytes.fromhex(record["genesis_hash"]))))
    registry = tmp_path / "registry.toml"
    ids = [f'[devnet.{name}]\nid = "{address}"\n' for name, address in record["programs"].items()]
    registry.write_text("".join(ids))
    return dataclasses.replace(stack, registry=registry)


def test_elsewhere_than_on_a_test_cluster_nobody_is_given_anything(public):
    poor = public.site.keys / "registrar.json"
    kept = poor.read_bytes()
    poor.write_text(json.dumps(list(bytes(Keypair()))))
    try:
        [wanted] = [said for said in public.provision(apply=False, M0_CLUSTER="devnet") if said.startswith("WANTED")]
        assert "registrar " in wanted
        assert "has 0 SOL: send it at least 1 SOL" in wanted
        with pytest.raises(DeployError, match=r"registrar .* has 0 SOL"):
            public.provision(M0_CLUSTER="devnet")
    finally:
        poor.write_bytes(kept)


def test_a_node_of_another_cluster_than_the_one_that_is_meant_is_given_nothing(stack, public, monkeypatch):
    with pytest.raises(DeployError, match=r"the node is of devnet .*, not of localnet"):
        stack.provision()
    monkeypatch.undo()
    with pytest.raises(DeployError, match=r"the node is of a cluster of its own .*, not of devnet"):
        public.provision(M0_CLUSTER="devnet")


def test_a_public_cluster_is_given_no_program_that_is_not_written_down(public):
    public.registry.write_text("")
    with pytest.raises(
        DeployError, match=r"registry\.toml and lacks \[devnet\.oracle\] id = .* write that into it first"
    ):
        public.provision(M0_CLUSTER="devnet")


def test_on_a_public_cluster_what_runs_is_not_replaced_by_other_bytes(public, tmp_path):
    folder = tmp_path / "older"
    shutil.copytree(PROGRAMS, folder, ignore=shutil.ignore_patterns("SHA256SUMS"))
    other = folder / "m0_oracle.so"
    other.write_bytes(other.read_bytes() + b"\1" * 8)
    with pytest.raises(
        DeployError, match=r"program oracle, .* runs other bytes .*: `m0 programs upgrade` changes that"
    ):
        dataclasses.replace(public, programs=folder).provision(M0_CLUSTER="devnet")


def test_on_a_public_cluster_a_folder_of_another_chain_is_refused(public):
    record = deployment_record.read(public.site.record)
    deployment_record.write(public.site.record, record | {"genesis_hash": "11" * 32})
    try:
        with pytest.raises(DeployError, match=r"deployment\.json is of a chain with genesis hash 1111"):
            public.provision(M0_CLUSTER="devnet")
    finally:
        deployment_record.write(public.site.record, record)
