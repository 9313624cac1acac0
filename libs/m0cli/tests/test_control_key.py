"""`m0 control-key certify`: a certificate in a file, which `m0 catalog set` takes."""

import json

import msgspec
import pytest
from catalog_world import CONTROL, GENESIS, World
from m0chain.keyfile import plain_key
from m0cli.catalog import Writing, put
from m0cli.control_key import app
from m0lanes.authority import control_keys
from m0lanes.control import Certificate
from m0replay.control_keys import read_certificate
from solders.keypair import Keypair
from typer.testing import CliRunner

NEW = Keypair.from_seed(bytes([31]) * 32)
CHAIN = GENESIS.hex()
PUBLIC = bytes(NEW.pubkey())


def m0(*args, home, genesis=CHAIN):
    env = {"M0_HOME": str(home), "M0_GENESIS_HASH": genesis}
    return CliRunner().invoke(app, ["certify", *map(str, args)], env=env)


def test_a_new_key_is_its_owners_alone_and_never_written_over(tmp_path):
    out = tmp_path / "new.json"
    made = CliRunner().invoke(app, ["new", "--out", str(out), "--json"])
    assert made.exit_code == 0
    assert json.loads(made.output) == {"file": str(out), "public_key": bytes(plain_key(out).pubkey()).hex()}
    assert out.stat().st_mode & 0o077 == 0
    before = out.read_bytes()
    again = CliRunner().invoke(app, ["new", "--out", str(out)])
    assert again.exit_code == 2
    assert "exists: a key is never" in " ".join(again.output.replace("│", " ").split())
    assert out.read_bytes() == before


@pytest.fixture
def files(tmp_path):
    paths = tmp_path / "old.json", tmp_path / "new.json"
    for path, key in zip(paths, (CONTROL, NEW), strict=True):
        path.write_text(json.dumps(list(bytes(key))))
    return paths


def test_the_new_key_is_a_file_or_a_public_key(files, tmp_path):
    old, new = files
    by_file = m0("--old", old, "--new", new, home=tmp_path)
    by_hex = m0("--old", old, "--new", PUBLIC.hex(), "--json", home=tmp_path)
    assert by_file.exit_code == by_hex.exit_code == 0
    assert by_file.output == by_hex.output
    made = msgspec.json.decode(by_hex.output, type=Certificate)
    assert control_keys(bytes(CONTROL.pubkey()), GENESIS, [made]) == [bytes(CONTROL.pubkey()), PUBLIC]


async def test_the_file_it_writes_hands_the_key_of_a_catalog_on(files, tmp_path, capsys):
    out = tmp_path / "word.json"
    done = m0("--old", files[0], "--new", files[1], "--out", out, home=tmp_path)
    assert f"m0 catalog set CATALOG --certificate {out}" in done.output
    world = World(tmp_path / "world")
    desk = await world.desk()
    payload = desk.composed("sports", certificates=[read_certificate(out)])
    await put(desk, payload, Writing(NEW, ask=False, timeout_s=0, as_json=False))
    assert capsys.readouterr().out == "sports: generation 1 is written\n"


@pytest.mark.parametrize(
    ("new", "genesis", "sentence"),
    [
        ("nowhere.json", CHAIN, "no such file, and not 64 hex digits"),
        (bytes(CONTROL.pubkey()).hex(), CHAIN, "is the old control key itself"),
        (PUBLIC.hex(), "abc", "genesis hash 'abc': give 64 hex digits"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_is_wrong(new, genesis, sentence, files, tmp_path):
    done = m0("--old", files[0], "--new", new, home=tmp_path, genesis=genesis)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.replace("│", " ").split())


def test_without_a_chain_there_is_no_certificate(files, tmp_path):
    done = CliRunner().invoke(
        app, ["certify", "--old", str(files[0]), "--new", PUBLIC.hex()], env={"M0_HOME": str(tmp_path / "none")}
    )
    assert done.exit_code == 2
    assert "--genesis" in done.output
