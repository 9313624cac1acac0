"""Provisioning a chain of the test's own: from nothing, again, and when what is there contradicts what is wanted."""

import asyncio
import dataclasses
import json
import subprocess
import sys
import time

import httpx2
import pytest
from m0chain import ChainClient, accounts, pda
from m0chain.keyfile import plain_key
from m0chain.keystore import open_key_file, read_passphrase
from m0local import deployment
from m0local.errors import LocalStackError
from m0local.ports import free_port
from m0local.provision.chain import provision
from m0local.settings import load, repo_root
from solders.pubkey import Pubkey

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
    folder, port = tmp_path_factory.mktemp("chain"), free_port()
    command = [
        sys.executable, "-m", "m0localnet", "--rpc-port", str(port), "--ws-port", str(free_port()),
        "--ledger", str(folder / "ledger"), "--slot-ms", "100",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 40
        while True:
            try:
                httpx2.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "getHealth"}, timeout=5)
                break
            except httpx2.TransportError:
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
        yield url
        process.terminate()


@pytest.fixture(scope="module")
def stack(localnet, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "config.toml").write_text(CONFIG)
    (home / "markets").mkdir()
    markets(home, 5000)
    env = {"M0_HOME": str(home), "M0_RPC_URL": localnet, "M0_CONFIG_PATH": str(home / "config.toml")}
    settings = load(env)
    provision(settings, print)
    return settings


def markets(home, epoch_ms):
    (home / "markets" / "sports.toml").write_text(MARKETS.format(epoch_ms=epoch_ms))


def test_the_record_names_programs_and_signers(stack):
    record = deployment.read(stack.deployment_file)
    assert set(record["programs"]) == {"oracle", "registry"}
    assert record["signer_set_id"] == 1
    assert [s["name"] for s in record["signers"]] == ["signer-1", "signer-2", "signer-3"]
    assert record["rpc_url"] == stack.rpc_url


def test_the_record_names_the_chain_and_the_control_key(stack):
    async def genesis():
        async with ChainClient(stack.rpc_url) as client:
            return (await client.call(lambda c: c.get_genesis_hash())).value

    told = deployment.environment(stack.deployment_file)
    assert told["M0_GENESIS_HASH"] == bytes(asyncio.run(genesis())).hex()
    assert told["M0_CONTROL_KEY"] == bytes(plain_key(stack.control_key_file).pubkey()).hex()
    assert stack.control_key_file.stat().st_mode & 0o077 == 0


def test_a_lost_control_key_is_not_replaced_by_another(stack):
    kept = stack.control_key_file.read_bytes()
    stack.control_key_file.unlink()
    try:
        with pytest.raises(LocalStackError, match=r"control key .*control\.json is gone .*make clean"):
            provision(stack, print)
        assert not stack.control_key_file.exists()
    finally:
        stack.control_key_file.write_bytes(kept)
        stack.control_key_file.chmod(0o600)


def test_clock_and_registry_have_keys_of_their_own(stack):
    keys = {name: plain_key(stack.keys / f"{name}.json").pubkey() for name in ("clock", "registry")}
    assert keys["registry"] != plain_key(stack.keys / "program-registry.json").pubkey()
    assert len({*keys.values(), plain_key(stack.control_key_file).pubkey()}) == 3


def test_signers_keys_open_with_the_passphrase_of_the_stack(stack):
    passphrase = read_passphrase(stack.passphrase_file)
    for signer in deployment.read(stack.deployment_file)["signers"]:
        key = open_key_file(stack.keys / f"{signer['name']}.json", passphrase)
        assert str(key.public_key) == signer["public_key"]


def test_every_key_is_readable_by_its_owner_alone(stack):
    assert stack.keys.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in stack.keys.iterdir())


def test_a_second_run_takes_no_time_and_changes_nothing(stack):
    before = stack.deployment_file.read_text()
    started = time.monotonic()
    provision(stack, print)
    assert time.monotonic() - started < 10
    assert stack.deployment_file.read_text() == before


def test_a_phase_length_that_the_chain_cannot_change_is_named(stack):
    markets(stack.home, 7000)
    try:
        with pytest.raises(LocalStackError, match=r"sports was created on chain with epoch_ms = 5000.*says 7000"):
            provision(stack, print)
    finally:
        markets(stack.home, 5000)


@pytest.mark.parametrize(
    ("lost", "sentence"),
    [("admin.json", "upgraded|admin"), ("signer-2.json", "Signer set 1 on chain is not that of the keys directory")],
)
def test_lost_keys_are_an_error_that_says_what_to_restore(stack, lost, sentence):
    path = stack.keys / lost
    kept = path.read_bytes()
    path.unlink()
    try:
        with pytest.raises(LocalStackError, match=sentence):
            provision(stack, print)
    finally:
        path.write_bytes(kept)
    provision(stack, print)


def test_a_damaged_key_is_named(stack):
    path = stack.keys / "guardian.json"
    kept = path.read_bytes()
    path.write_text(json.dumps([1, 2, 3]))
    try:
        with pytest.raises(LocalStackError, match=r"guardian\.json is damaged"):
            provision(stack, print)
    finally:
        path.write_bytes(kept)


def test_a_new_registrar_is_given_its_role(stack):
    (stack.keys / "registrar.json").unlink()
    provision(stack, print)

    async def root():
        address = pda.registry_root(Pubkey.from_string(deployment.programs(stack.deployment_file)["registry"]))
        async with ChainClient(stack.rpc_url) as client:
            return accounts.root((await client.account(address)).data)

    assert asyncio.run(root()).registrar == plain_key(stack.keys / "registrar.json").pubkey()


def test_programs_that_were_not_built_are_an_error_that_names_the_command(stack, tmp_path):
    with pytest.raises(LocalStackError, match="make programs"):
        provision(dataclasses.replace(stack, root=tmp_path), print)
    assert (repo_root() / "programs/deploy/m0_oracle.so").exists()
