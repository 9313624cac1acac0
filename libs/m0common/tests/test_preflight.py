"""What a process refuses to start with."""

from pathlib import Path

import pytest
from m0common.errors import SettingsError
from m0common.preflight import refuse_unfit
from m0common.settings import load

CONFIG = Path(__file__).parents[3] / "config"
KEY = "k" * 32


def told(tmp_path, text="", **variables):
    file = tmp_path / "test.toml"
    file.write_text(text)
    return load({"M0_CONFIG_PATH": str(file)} | variables)


def test_a_value_that_an_operator_has_yet_to_give_is_refused_by_name(tmp_path):
    settings = told(tmp_path, '[solana]\nrpc_url = "REPLACE_ME"\n', M0_GENESIS_HASH="REPLACE: 64 hex digits")
    with pytest.raises(SettingsError) as refused:
        refuse_unfit(settings, ("solana", "deployment"))
    assert "solana.rpc_url (M0_RPC_URL or M0_RPC_URL_FILE) still holds a value that begins with" in str(refused.value)
    assert "deployment.genesis_hash (M0_GENESIS_HASH) still holds" in str(refused.value)


def test_who_works_for_catalogs_refuses_to_start_without_one(tmp_path):
    with pytest.raises(SettingsError, match=r"^no catalog is configured: add a \[catalogs.NAME\] table"):
        refuse_unfit(told(tmp_path), ("catalogs",))
    refuse_unfit(told(tmp_path), ("kafka",))


def test_what_a_process_does_not_use_is_not_asked_for(tmp_path):
    settings = told(tmp_path, M0_PG_DSN="REPLACE", M0_RPC_URL_FILE="/nowhere")
    refuse_unfit(settings, ("kafka", "solana.cluster"))
    with pytest.raises(SettingsError, match=r"postgres\.dsn"):
        refuse_unfit(settings, ("postgres.dsn",))


def test_a_need_that_is_no_setting_is_a_mistake_of_the_service(tmp_path):
    with pytest.raises(ValueError, match="postgress"):
        refuse_unfit(told(tmp_path), ("postgress",))


def test_a_secrets_file_that_is_missing_or_holds_a_placeholder_is_refused(tmp_path):
    settings = told(tmp_path, M0_PG_DSN_FILE=str(tmp_path / "dsn"))
    with pytest.raises(SettingsError, match=r"M0_PG_DSN_FILE\) cannot be used: secret file .*dsn cannot be read"):
        refuse_unfit(settings, ("postgres",))
    (tmp_path / "dsn").write_text("REPLACE-with-yours\n")
    with pytest.raises(SettingsError, match="still holds a value that begins with REPLACE"):
        refuse_unfit(settings, ("postgres",))
    (tmp_path / "dsn").write_text("postgresql://m0@db/m0\n")
    refuse_unfit(settings, ("postgres",))


def test_outside_dev_a_key_has_32_bytes(tmp_path):
    for env, keys, refused in (
        ("prod", "short", True),
        ("staging", f"{KEY},short", True),
        ("prod", f"{KEY},{KEY}", False),
        ("prod", "", False),
        ("dev", "short", False),
    ):
        settings = told(tmp_path, M0_ENV=env, M0_API_KEYS=keys)
        if refused:
            with pytest.raises(SettingsError, match=r"api.keys \(M0_API_KEYS or .*fewer than 32 bytes") as error:
                refuse_unfit(settings, ("api",))
            assert keys not in str(error.value)
        else:
            refuse_unfit(settings, ("api",))


@pytest.mark.parametrize("env", ["dev", "staging", "prod"])
def test_the_settings_files_of_all_environments_are_valid(env):
    assert load({"M0_CONFIG_PATH": str(CONFIG / f"{env}.toml")}).env == env


@pytest.mark.parametrize("env", ["staging", "prod"])
def test_staging_and_prod_name_what_an_operator_must_give(env):
    settings = load({"M0_CONFIG_PATH": str(CONFIG / f"{env}.toml")})
    with pytest.raises(SettingsError) as refused:
        refuse_unfit(settings, ("deployment", "kafka", "postgres", "redis", "solana", "key_passphrase"))
    wanted = (
        "M0_GENESIS_HASH", "M0_CONTROL_KEY", "M0_ORACLE_PROGRAM_ID", "M0_REGISTRY_PROGRAM_ID", "M0_KAFKA_BOOTSTRAP",
        "M0_PG_DSN_FILE", "M0_REDIS_URL_FILE", "M0_RPC_URL_FILE", "M0_WS_URL_FILE", "M0_KEY_PASSPHRASE_FILE",
    )  # fmt: skip
    assert [name for name in wanted if name not in str(refused.value)] == []
    with pytest.raises(SettingsError, match=r"kafka\.bootstrap"):
        refuse_unfit(settings, ("kafka",))
