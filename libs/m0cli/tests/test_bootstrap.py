"""`m0 bootstrap` where something is missing on this machine: it is said before a server is asked."""

import pytest
from m0cli.bootstrap import app
from m0deploy import keys
from m0deploy.site import Site
from typer.testing import CliRunner

NOBODY = "127.0.0.1:1"


@pytest.fixture
def bootstrap(tmp_path, monkeypatch):
    """Run it with servers that nobody runs."""
    (tmp_path / "some.toml").write_text("")
    for name, value in {
        "M0_HOME": str(tmp_path / "home"),
        "M0_CONFIG_PATH": str(tmp_path / "some.toml"),
        "M0_PG_DSN": f"postgresql://m0@{NOBODY}/m0",
        "M0_KAFKA_BOOTSTRAP": NOBODY,
        "M0_RPC_URL": f"http://{NOBODY}",
        "M0_WS_URL": f"ws://{NOBODY}",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*args):
        done = CliRunner().invoke(app, ["--dir", str(tmp_path / "site"), "--programs", str(tmp_path / "none"), *args])
        assert done.exit_code == 1, done.output
        return done.output

    return run


def test_keys_that_are_missing_are_named_first(bootstrap, tmp_path):
    said = bootstrap()
    assert str(tmp_path / "site" / "keys") in said
    assert NOBODY not in said


def test_programs_that_are_missing_are_named_first(bootstrap, tmp_path):
    keys.init(Site.of(tmp_path / "site", tmp_path), 3)
    assert f"program {tmp_path / 'none' / 'm0_oracle.so'} cannot be read" in bootstrap()


def test_a_step_that_needs_none_of_it_is_taken_without(bootstrap):
    assert bootstrap("--only", "database").endswith("check M0_PG_DSN\n")
    assert bootstrap("--only", "topics").endswith("check M0_KAFKA_BOOTSTRAP\n")
