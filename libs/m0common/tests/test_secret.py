"""A secret is asked for at each use, and never shown."""

import json
import logging
import os
from pathlib import Path

import pytest
import structlog
from m0common.errors import SettingsError, Unavailable
from m0common.secret import Secret, SecretDsn, SecretUrl, scrubber
from m0common.settings import Postgres, Settings, load
from m0common.telemetry.logs import logger, setup_logs

MARK = "mark-of-a-secret"
DSN = f"postgresql://m0:{MARK}@db/m0"


@pytest.fixture
def config(tmp_path):
    """Variables that name an empty settings file."""
    file = tmp_path / "test.toml"
    file.write_text("")
    return {"M0_CONFIG_PATH": str(file)}


def test_a_secret_shows_a_mask_however_it_is_printed():
    settings = Settings(postgres=Postgres(dsn=SecretDsn(DSN)), key_passphrase=Secret(MARK))
    dumped = json.dumps(settings.model_dump())
    assert MARK not in f"{settings} {settings!r} {dumped} {settings.model_dump_json()} {settings.key_passphrase}"
    assert settings.postgres.dsn.reveal() == DSN


def test_a_secrets_file_is_read_again_each_time(config, tmp_path):
    file = tmp_path / "dsn"
    file.write_text(f"{DSN}\n")
    settings = load(config | {"M0_PG_DSN_FILE": str(file)})
    assert settings.postgres.dsn.reveal() == DSN
    file.write_text("postgresql://m0:another-secret@db/m0\n")
    assert settings.postgres.dsn.reveal() == "postgresql://m0:another-secret@db/m0"
    assert str(settings.postgres.dsn) == f"file {file}"
    assert settings.postgres.dsn.scrub(f"{MARK} another-secret") == "*** ***"


def test_the_settings_file_may_name_a_secrets_file_too(config, tmp_path):
    (tmp_path / "dsn").write_text(DSN)
    (tmp_path / "test.toml").write_text(f'[postgres]\ndsn_file = "{tmp_path}/dsn"\n')
    assert load(config).postgres.dsn.reveal() == DSN
    assert load(config | {"M0_PG_DSN": "postgresql://x@y/z"}).postgres.dsn.reveal() == "postgresql://x@y/z"


@pytest.mark.parametrize(
    ("written", "variables", "sentence"),
    [
        ("", {"M0_PG_DSN": "a", "M0_PG_DSN_FILE": "b"}, "M0_PG_DSN and M0_PG_DSN_FILE are both set: unset one"),
        ('[postgres]\ndsn = "a"\ndsn_file = "b"', {}, "dsn and dsn_file are both set: keep one"),
        ("[postgres]\ndsn_file = 7", {}, "dsn_file is 7: write the path of a file"),
        ("[postgres]\ndsn_fil = 7", {}, "postgres.dsn_fil is not a setting: did you mean dsn_file"),
        ("", {"M0_PG_DSN_FIL": "a"}, "M0_PG_DSN_FIL is not known: did you mean M0_PG_DSN_FILE"),
        ("[postgres]\ndsn = 7", {}, "postgres.dsn: .*write it as a text"),
        ("", {"M0_PG_DSN": f"postgresql://m0:p@{MARK}@db/m0"}, "percent-encode it"),
    ],
)
def test_what_cannot_be_a_secret_or_is_said_twice_is_refused_by_name(config, tmp_path, written, variables, sentence):
    (tmp_path / "test.toml").write_text(written)
    with pytest.raises(SettingsError, match=sentence) as refused:
        load(config | variables)
    assert MARK not in str(refused.value)


def test_an_address_in_a_file_that_cannot_be_read_is_refused_without_showing_it(tmp_path):
    (tmp_path / "dsn").write_text(f"postgresql://m0:p@{MARK}@db/m0")
    secret = SecretDsn(file=tmp_path / "dsn")
    with pytest.raises(Unavailable, match=r"dsn: .*percent-encode it") as refused:
        secret.reveal()
    assert MARK not in str(refused.value)


def test_a_secrets_file_that_is_gone_or_empty_is_said_and_may_come_back(tmp_path):
    secret = SecretUrl(file=tmp_path / "url")
    with pytest.raises(Unavailable, match=rf"secret file {tmp_path}/url cannot be read: No such file"):
        secret.reveal()
    (tmp_path / "url").write_text("\n")
    with pytest.raises(Unavailable, match="is empty: write the secret into its first line"):
        secret.reveal()
    (tmp_path / "url").write_text("http://node\n")
    assert secret.reveal() == "http://node"


@pytest.mark.parametrize("written", [b"\xef\xbb\xbfpass word", b"pass word\r\nmore", b"pass word\n"])
def test_a_secret_is_its_files_first_line_whatever_wrote_it(tmp_path, written):
    (tmp_path / "password").write_bytes(written)
    assert Secret(file=tmp_path / "password").reveal() == "pass word"


def test_only_a_line_break_ends_a_secret(tmp_path):
    password = "p\u2028a\x0bs\x85s"
    (tmp_path / "password").write_text(password)
    assert Secret(file=tmp_path / "password").reveal() == password


def test_a_secrets_file_that_is_no_file_is_said(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(Unavailable, match="it is no file"):
            Secret(file=path).reveal()
    with pytest.raises(Unavailable, match="null"):
        Secret(file=Path("a\0b")).reveal()


@pytest.fixture
def restored_logs():
    root = logging.getLogger()
    kept, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = kept
    root.setLevel(level)
    structlog.configure(**config)
    structlog.contextvars.clear_contextvars()


def test_no_log_shows_a_secret_not_even_in_a_traceback_of_another_library(capsys, restored_logs):
    setup_logs("toy", "info", scrubber([SecretDsn(DSN)]))
    logger("toy").info("connecting", dsn=DSN, password=MARK)
    try:
        int(DSN)  # a ValueError that quotes it
    except ValueError:
        logging.getLogger("library").exception("failed with %s", MARK)
    said = capsys.readouterr().err
    assert MARK not in said
    assert said.count("postgresql://m0:***@db/m0") == 2


@pytest.mark.parametrize("secret", [f'{MARK}-"quoted"', f"{MARK}\\back", f"s\u00e9same {MARK}"])
def test_no_log_shows_a_secret_that_json_writes_otherwise(capsys, restored_logs, secret):
    setup_logs("toy", "info", scrubber([Secret(secret)]))
    logger("toy").warning("failed", error=f"refused for {secret}", what=[secret])
    assert MARK not in capsys.readouterr().err
