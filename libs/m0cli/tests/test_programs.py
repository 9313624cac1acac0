"""`m0 programs` on a chain of the test's own, and on one that says it is devnet."""

import asyncio
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from m0chain import ChainClient, Sender
from m0chain.keyfile import plain_key, write_plain_key
from m0cli.main import app
from m0deploy import buffers, loader_accounts
from m0deploy.clusters import GENESIS_HASHES
from m0local.testing import chain_node
from solders.keypair import Keypair
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "programs" / "deploy"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with chain_node(tmp_path_factory.mktemp("chain")) as url:
        yield url


@pytest.fixture(scope="module")
def devnet(node):
    """The same chain behind an address where it has the genesis hash of devnet."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            asked = json.loads(body)
            if asked["method"] == "getGenesisHash":
                said = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": GENESIS_HASHES["devnet"]}).encode()
            else:
                said = httpx2.post(node, content=body, headers={"content-type": "application/json"}).content
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture
def m0(tmp_path, monkeypatch, folder):
    """`m0 programs` in an empty folder, for the deployment of these tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("M0_RPC_URL", "M0_CONFIG_PATH", "M0_PROGRAM_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("M0_HOME", str(folder))
    monkeypatch.setenv("M0_PROGRAMS_DIR", str(DEPLOY))

    def run(*args, code=0):
        done = CliRunner().invoke(app, ["programs", *map(str, args)])
        assert done.exit_code == code, f"{done.stdout}{done.stderr}{done.exception}"
        return done.stdout if code == 0 else " ".join(f"{done.stderr}{done.stdout}".split())

    return run


def key(folder, name):
    return plain_key(folder / "keys" / f"{name}.json").pubkey()


def on_chain(node, work):
    async def run():
        async with ChainClient(node) as client:
            return await work(client)

    return asyncio.run(run())


def test_what_needs_sources_says_so_outside_of_a_checkout(m0):
    for command in ("build", "idl"):
        assert "needs the sources: run it in a checkout of M0Club" in m0(command, code=1)


def test_a_plan_makes_neither_keys_nor_programs(m0, node, folder):
    assert "does not exist" in m0("deploy", "localnet", "--rpc", node, "--plan", code=1)
    assert not (folder / "keys").exists()


def test_what_is_not_there_is_deployed_and_verified(m0, node, folder):
    said = m0("deploy", "localnet", "--rpc", node).splitlines()
    assert [line.split()[:3] for line in said[1:]] == [
        ["deploy", "program", "oracle"],
        ["deploy", "program", "registry"],
    ]
    assert m0("deploy", "localnet", "--rpc", node) == "Everything is as it should be.\n"
    told = json.loads(m0("verify", "localnet", "--rpc", node, "--json"))
    assert told["ok"]
    for program in told["programs"]:
        built = hashlib.sha256((DEPLOY / f"m0_{program['name']}.so").read_bytes()).hexdigest()
        assert program["built_sha256"] == program["chain_sha256"] == built
        assert (program["id"], program["authority"]) == (
            str(key(folder, f"program-{program['name']}")),
            str(key(folder, "admin")),
        )


def test_a_cluster_is_known_by_its_genesis_hash(m0, node, devnet):
    assert "the node is of a cluster of its own" in m0("verify", "mainnet", "--rpc", node, code=1)
    assert "the node is of devnet" in m0("deploy", "localnet", "--rpc", devnet, code=1)
    assert "no node of mainnet-beta is named" in m0("verify", "mainnet", code=1)
    assert "cluster devent is not known: did you mean devnet?" in m0("verify", "devent", code=1)


def test_on_a_public_cluster_what_is_deployed_is_registered_first_and_only_said_unless_asked(
    m0, devnet, folder, tmp_path, monkeypatch
):
    options = ("devnet", "--rpc", devnet, "--dir", folder)
    assert f'lacks [devnet.oracle] id = "{key(folder, "program-oracle")}"' in m0("deploy", *options, code=1)

    registry = tmp_path / "registry.toml"
    ours = hashlib.sha256((DEPLOY / "m0_oracle.so").read_bytes()).hexdigest()
    fresh = tmp_path / "keys"
    for name in ("admin", "program-oracle"):
        fresh.mkdir(exist_ok=True)
        write_plain_key(fresh / f"{name}.json", Keypair())
    address = plain_key(fresh / "program-oracle.json").pubkey()
    registry.write_text(f'[devnet.oracle]\nid = "{address}"\nsha256 = "{ours}"\n')
    monkeypatch.setenv("M0_PROGRAM_REGISTRY", str(registry))
    mine = ("devnet", "--rpc", devnet, "--dir", tmp_path, "--program", "oracle")
    said = m0("deploy", *mine)
    assert "has 0 SOL: send it at least 0." in said
    assert f"deploy program oracle as {address}" in said
    assert said.endswith("Nothing was changed: --apply does it.\n")
    assert "nothing is there" in m0("verify", *mine, code=1)
    assert "has 0 SOL" in m0("deploy", *mine, "--apply", code=1)

    registry.write_text(f'[devnet.oracle]\nid = "{address}"\nsha256 = "{"0" * 64}"\n')
    assert f"as built has sha256 {ours}, and {registry} has {'0' * 64} for devnet" in m0("deploy", *mine, code=1)
    registry.write_text(f'[devnet.oracle]\nid = "{key(folder, "admin")}"\n')
    assert f"is {address}, and {registry} has {key(folder, 'admin')} for oracle on devnet" in m0(
        "deploy", *mine, code=1
    )


def test_built_bytes_that_are_not_those_of_their_sums_are_refused(m0, node, tmp_path):
    for file in DEPLOY.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "m0_oracle.so").write_bytes(b"another")
    said = m0("verify", "localnet", "--rpc", node, "--programs", tmp_path, code=1)
    assert f"{tmp_path}/m0_oracle.so has sha256 {hashlib.sha256(b'another').hexdigest()}, and SHA256SUMS" in said


@pytest.fixture
def longer(tmp_path):
    """A folder of programs of which one is not what runs: the same code with some bytes behind it."""
    built = tmp_path / "built"
    built.mkdir()
    (built / "m0_oracle.so").write_bytes((DEPLOY / "m0_oracle.so").read_bytes())
    (built / "m0_registry.so").write_bytes((DEPLOY / "m0_registry.so").read_bytes() + b"\1" * 40)
    return built


def test_other_bytes_are_named_and_an_upgrade_is_the_authoritys_alone(m0, node, folder, longer, tmp_path):
    options = ("localnet", "--rpc", node, "--programs", longer)
    wanted = hashlib.sha256((longer / "m0_registry.so").read_bytes()).hexdigest()
    assert f"built is {wanted}" in m0("verify", *options, code=1)
    assert "runs other bytes: `m0 programs upgrade` changes them" in m0("deploy", *options, code=1)
    other = tmp_path / "other.json"
    write_plain_key(other, Keypair())
    said = m0("upgrade", *options, "--authority", other, code=1)
    assert f"can be upgraded by {key(folder, 'admin')} alone, not by {plain_key(other).pubkey()}" in said
    assert "upgrade program registry" in m0("upgrade", *options, "--plan")
    m0("verify", *options, code=1)


def test_an_upgrade_goes_on_with_the_buffer_that_an_interrupted_one_left(m0, node, folder, longer):
    code, admin = (longer / "m0_registry.so").read_bytes(), plain_key(folder / "keys" / "admin.json")

    async def interrupted(client):
        writer = buffers.BufferWriter(client, Sender(client), admin)
        address = await writer._begin(len(code))
        blockhash = (await client.call(lambda c: c.get_latest_blockhash())).value.blockhash
        some = dict(list(buffers.chunks_of(code).items())[:5])
        await writer._write(address, some, blockhash)
        assert await writer._missing(address, some) == {}
        return await loader_accounts.buffers(client, admin.pubkey())

    [left] = on_chain(node, interrupted)
    assert f"buffer {left.address} has room for {len(code)} bytes" in m0("buffers", "localnet", "--rpc", node)
    options = ("localnet", "--rpc", node, "--programs", longer)
    m0("upgrade", *options)
    assert on_chain(node, lambda client: loader_accounts.buffers(client, admin.pubkey())) == []
    m0("verify", *options)


def test_a_buffer_of_other_bytes_is_closed_and_not_gone_on_with(m0, node, folder):
    admin = plain_key(folder / "keys" / "admin.json")
    code = (DEPLOY / "m0_registry.so").read_bytes()

    async def left(client):
        await buffers.BufferWriter(client, Sender(client), admin).hold(b"\2" * 3000)
        return await loader_accounts.buffers(client, admin.pubkey())

    found = on_chain(node, left)
    assert buffers.left_over(found, b"\3" * 3000) is None
    assert buffers.left_over(found, code) is None
    assert m0("buffers", "localnet", "--rpc", node, "--close", "--plan").startswith("close buffer ")
    assert "which gives back" in m0("buffers", "localnet", "--rpc", node, "--close")
    assert m0("buffers", "localnet", "--rpc", node) == "Everything is as it should be.\n"


def test_the_right_to_upgrade_is_handed_to_a_key_that_signs_and_back(m0, node, folder, tmp_path):
    heir, admin = tmp_path / "heir.json", folder / "keys" / "admin.json"
    write_plain_key(heir, Keypair())
    options = ("localnet", "--rpc", node, "--program", "oracle")
    said = m0("authority", *options, "--new-authority", heir)
    assert f"let {plain_key(heir).pubkey()} upgrade program oracle" in said
    assert "Nothing was changed" in said
    assert m0("authority", *options) == f"oracle: {plain_key(admin).pubkey()}\n"
    m0("authority", *options, "--new-authority", heir, "--apply")
    assert json.loads(m0("authority", *options, "--json")) == {"oracle": str(plain_key(heir).pubkey())}
    assert "alone, not by" in m0(
        "authority",
        *options,
        "--new-authority",
        admin,
        "--authority",
        folder / "keys" / "program-oracle.json",
        "--apply",
        code=1,
    )
    # whoever holds it pays for giving it back
    on_chain(node, lambda client: client.airdrop(plain_key(heir).pubkey(), 10**9))
    m0("authority", *options, "--new-authority", admin, "--authority", heir, "--apply")
    assert m0("authority", *options) == f"oracle: {plain_key(admin).pubkey()}\n"
