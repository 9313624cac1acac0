"""Each service runs from an empty folder with variables and one file, and says no secret to anybody."""

import subprocess
import sys
from pathlib import Path

import pytest
from deployed import MARK, SECRETS, SERVICES, WAIT_S, answered, ended, marked, running
from m0local.ports import free_port

pytestmark = [pytest.mark.loopback, pytest.mark.timeout(600)]
CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_without_its_settings_file_says_so_in_one_sentence(service, folder):
    code, said = ended(service, folder, folder.environment(folder.mounted / "none.toml"))
    assert code == 2
    assert said == (
        f"{'service' if service == 'signer' else service}: settings file {folder.mounted}/none.toml does not exist: "
        "name one of config/*.toml, by M0_CONFIG_PATH or as the argument\n"
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_names_what_an_operator_has_yet_to_fill_in(service, folder):
    code, said = ended(service, folder, folder.environment(CONFIG / "prod.toml"))
    assert code == 2
    assert ("M0_KAFKA_BOOTSTRAP" in said) == (service != "api")
    assert ("M0_PG_DSN_FILE" in said) == (service in {"ingest", "indexer", "api", "jobs"})
    assert ("M0_KEY_PASSPHRASE_FILE" in said) == (service == "signer")
    assert "M0_REDIS_URL" not in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(("service", "missing"), [("normalize", "M0_GENESIS_HASH"), ("api", "M0_ORACLE_PROGRAM_ID")])
def test_a_service_names_what_it_lacks_of_its_deployment(service, missing, folder):
    bind = f"127.0.0.1:{free_port()}"
    told = {name: value for name, value in folder.identity().items() if name != missing}
    code, said = ended(service, folder, folder.environment(folder.settings_file(), **told, M0_BIND=bind))
    assert code == 2
    assert f"{missing} is ''" in said
    assert "Traceback" not in said


def test_a_stage_of_another_build_than_it_was_told_names_both(folder):
    told = folder.identity() | {"M0_PROMETHEUS_BIND": f"127.0.0.1:{free_port()}", "M0_RELEASE_ID": "0123456789"}
    code, said = ended("normalize", folder, folder.environment(folder.settings_file(), **told))
    assert code == 2
    assert "stage.release_id = 0123456789, and what is installed here is " in said
    assert "correct the id, or the tag of the image" in said


def test_a_signer_whose_passphrase_opens_no_key_is_not_to_be_started_again(folder):
    folder.make_keys("the-right-one")
    env = folder.environment(
        folder.settings_file(), **folder.identity(), M0_BIND=f"127.0.0.1:{free_port()}", M0_KEY_PASSPHRASE="another-one"
    )
    code, said = ended("signer", folder, env)
    assert code == 2
    assert "signer-1.json: wrong passphrase, or the file was changed" in said


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_in_an_empty_folder_shows_no_secret_and_stops_when_told(service, folder, node):
    bind, secrets = f"127.0.0.1:{free_port()}", marked(node)
    folder.make_keys(secrets["M0_KEY_PASSPHRASE"])
    told = folder.identity() | secrets | {"M0_BIND": bind, "M0_PROMETHEUS_BIND": bind, "M0_LOG_LEVEL": "debug"}
    paths = ("health", "ready", "metrics", *(("v1/info", "v1/markets") if service == "api" else ()))
    with running(service, folder, folder.environment(folder.settings_file(), **told)) as process:
        answers = {path: answered(f"http://{bind}/{path}", process) for path in paths}
    assert process.returncode == 0, "it was told to stop"
    assert answers["health"].status_code == 200
    assert answers["ready"].status_code == 503
    said = (folder.mounted / "log").read_text() + "".join(f"{a.headers} {a.text}" for a in answers.values())
    assert MARK not in said
    assert list(folder.cwd.iterdir()) == []


def test_config_show_shows_no_secret(folder, node):
    config = folder.settings_file()
    done = subprocess.run(
        [sys.executable, "-m", "m0cli.main", "config", "show"], cwd=folder.cwd, capture_output=True, text=True,
        env=folder.environment(config, **folder.identity(), **marked(node)), timeout=WAIT_S, check=True,
    )  # fmt: skip
    assert [name for name in SECRETS if f"environment {name}" not in done.stdout] == []
    assert 'postgres.dsn = "postgresql://m0:***@127.0.0.1:1/m0' in done.stdout
    assert f'solana.rpc_url = "http://{node}/***?***"' in done.stdout
    assert MARK not in done.stdout + done.stderr
