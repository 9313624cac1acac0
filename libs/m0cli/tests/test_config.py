"""`m0 config validate` and `m0 config diff`: files, and an API."""

import json
from pathlib import Path

import pytest
from doctor_world import served
from m0cli.main import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
ONE, TWO = "J11251d2ZcR8eL2YNSv6PtR8LEnLD9tVYhTMk8QLpPP8", "ELteBoKMjhPbSQ742vAg8RGipmME6H53XMzHJYBBmANm"


@pytest.fixture
def m0(tmp_path, monkeypatch):
    """`m0 config` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("M0_PROGRAM_REGISTRY", "M0_PROGRAMS_DIR", "M0_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)

    def run(*args, code=0):
        done = CliRunner().invoke(app, ["config", *map(str, args)])
        assert done.exit_code == code, f"{done.stdout}{done.stderr}{done.exception}"
        return done.stdout if code == 0 else done.stderr + done.stdout

    return run


@pytest.fixture
def files(tmp_path):
    """A settings file with those of its catalog, as they are in the repository; `change` replaces a text of one."""
    for name in ("staging.toml", "markets/sports.toml", "risk/sports.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / "config" / name).read_text())
    settings = tmp_path / "staging.toml"
    settings.write_text(settings.read_text().partition("[catalogs.crypto]")[0])

    def change(name, old, new):
        path = tmp_path / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        return settings

    return change


def test_the_settings_of_every_environment_can_be_used(m0):
    said = m0("validate", *(ROOT / "config" / f"{env}.toml" for env in ("dev", "staging", "prod"))).splitlines()
    assert said[0] == f"{ROOT}/config/dev.toml: can be used"
    assert said[1].startswith(
        f"{ROOT}/config/staging.toml: can be used; to be filled in: key_passphrase, deployment.gene"
    )
    assert "postgres.dsn" in said[2]


def test_every_fault_of_every_file_is_named_at_once(m0, files, tmp_path):
    files("staging.toml", "partitions = 64", "partitions = 'many'\nreplicas = 3")
    files("staging.toml", "pool_max = 8", "pool_max = 0")
    files("staging.toml", '"REPLACE: M0_RPC_URL_FILE"', '"ftp://secret@node"')
    files("markets/sports.toml", "epoch_ms = 20000", "epoch_ms = 'long'\nepochs = 3")
    settings = files("risk/sports.toml", "#", "#")
    (tmp_path / "risk" / "sport.toml").write_text("")
    told = json.loads(m0("validate", settings, "--json", code=1))
    assert not told["ok"]
    [said] = told["files"]
    assert said["faults"] == [
        f"{settings}: kafka.partitions = 'many': Input should be a valid integer, unable to parse string as an integer",
        f"{settings}: kafka.replicas is not a setting: did you mean replication?",
        f"{settings}: postgres.pool_max = 0: Input should be greater than or equal to 1",
        f"{settings}: solana.rpc_url: write an address like https://host:port",
        f"{tmp_path}/markets/sports.toml: catalog.epoch_ms = 'long': Input should be a valid integer",
        f"{tmp_path}/markets/sports.toml: catalog.epochs is not a setting: did you mean epoch_ms?",
        f"{tmp_path}/risk/sport.toml belongs to no file of markets/: did you mean sports?",
    ]
    assert "secret" not in str(said)


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        (
            "markets/sports.toml",
            '"sports"',
            '"sport"',
            "catalog.domain = 'sport' is not installed: did you mean sports?",
        ),
        (
            "markets/sports.toml",
            '"football"\nepoch',
            '"footbal"\nepoch',
            "catalog.model = 'footbal' is no model of domain",
        ),
        ("markets/sports.toml", '"match_result"', '"match"', "'match' is no kind of domain sports"),
        ("markets/sports.toml", "signer_set_id = 1", "", "catalog.params.signer_set_id is missing"),
        ("staging.toml", "[catalogs.sports]", "[catalogs.sport]", "catalog sport has no file"),
    ],
)
def test_what_does_not_fit_together_is_named(m0, files, file, old, new, sentence):
    assert sentence in m0("validate", files(file, old, new), code=1)


def test_a_file_that_is_none_is_a_sentence(m0, tmp_path):
    assert "does not exist" in m0("validate", tmp_path / "none.toml", code=1)
    (tmp_path / "broken.toml").write_text("x = ")
    assert m0("validate", tmp_path / "broken.toml", code=1).startswith("m0 config validate: ")


def test_programs_that_the_registry_has_elsewhere_are_refused_and_both_named(m0, files, tmp_path, monkeypatch):
    settings = files("staging.toml", 'oracle_program_id = "REPLACE: base58"', f'oracle_program_id = "{ONE}"')
    m0("validate", settings)
    registry = tmp_path / "registry.toml"
    registry.write_text(f'[devnet.oracle]\nid = "{TWO}"\n')
    monkeypatch.setenv("M0_PROGRAM_REGISTRY", str(registry))
    sentence = f"deployment.oracle_program_id is {ONE}, and {registry} has {TWO} for oracle on devnet"
    assert sentence in m0("validate", settings, code=1)
    monkeypatch.setenv("M0_CONFIG_PATH", str(settings))
    shown = m0("show", code=1)
    assert sentence in shown
    assert "kafka.partitions = 64" in shown


def test_two_files_are_compared_without_a_secret_being_shown(m0, files, tmp_path):
    settings = files("staging.toml", "M0_PG_DSN_FILE", "M0_PG_DSN_FILE")
    same = tmp_path / "same.toml"
    same.write_text(settings.read_text() + "# a comment\n")
    assert m0("diff", settings, same) == "They say the same.\n"
    other = tmp_path / "other.toml"
    other.write_text(
        settings.read_text()
        .replace("partitions = 64", "partitions = 8")
        .replace("REPLACE: M0_KEY_PASSPHRASE_FILE", "hush")
    )
    said = m0("diff", settings, other, code=1)
    assert "kafka.partitions: 64 → 8\n" in said
    assert "key_passphrase: " in said
    assert "(not the same secret)" in said
    assert "hush" not in said
    told = json.loads(m0("diff", settings, other, "--json", code=1))
    assert [each["setting"] for each in told["differences"]] == ["kafka.partitions", "key_passphrase"]
    assert "hush" not in str(told)


@pytest.fixture
def api():
    """An API that says what a deployment's does at /v1/info."""
    info = {
        "cluster": "devnet", "genesis_hash": "ab", "rpc_url": "https://api.devnet.solana.com", "ws_url": None,
        "programs": {"oracle": ONE, "registry": TWO, "fee_router": None, "governance": None}, "signer_sets": [],
        "version": "0.1.0",
    }  # fmt: skip

    with served({"/v1/info": info}) as server:
        yield server.url


@pytest.mark.loopback
def test_a_file_is_compared_with_what_a_running_deployment_publishes(m0, files, api):
    settings = files("staging.toml", 'oracle_program_id = "REPLACE: base58"', f'oracle_program_id = "{ONE}"')
    told = json.loads(m0("diff", settings, api, "--json", code=1))
    assert {each["setting"]: (each["before"], each["after"]) for each in told["differences"]} == {
        "deployment.registry_program_id": ("REPLACE: base58", TWO),
        "solana.public_ws_url": ("wss://api.devnet.solana.com", ""),
    }
    assert "does not say its settings" in m0("diff", settings, "http://127.0.0.1:9", code=1)
