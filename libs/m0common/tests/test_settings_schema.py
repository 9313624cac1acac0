"""docs/config.schema.json is what the settings make, and says of a file what the settings say of it."""

import json
import tomllib
from pathlib import Path

import jsonschema_rs
import pytest
from m0common.errors import SettingsError
from m0common.settings import load
from m0common.settings_schema import schema, text

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docs" / "config.schema.json"


@pytest.fixture(scope="module")
def validator():
    return jsonschema_rs.validator_for(json.loads(FILE.read_text("utf-8")))


def test_the_schema_is_what_the_settings_make():
    made = text()
    assert FILE.read_text("utf-8") == made, "run: python -m m0common.settings_schema > docs/config.schema.json"
    jsonschema_rs.meta.validate(schema())


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.toml")), ids=lambda file: file.name)
def test_every_settings_file_fits_it_and_names_it(validator, file):
    validator.validate(tomllib.loads(file.read_text()))
    assert file.read_text().startswith("#:schema ../docs/config.schema.json\n")


@pytest.mark.parametrize(
    "written",
    [
        "drain = 1",
        "[kafka]\nbrokers = 'a:1'",
        "[kafka]\npartitions = 'many'",
        "[kafka]\npartitions = 0",
        "[kafka]\nsecurity_protocol = 'TLS'",
        "drain_ms = -1",
        "drain_ms = 10000000000000",
        "auto_release = 3",
        "[postgres]\ndsn = 5",
        "[postgres]\ndsn = 'postgresql://m0@a/m0'\ndsn_file = '/x'",
        "[realtime]\ntrusted_proxies = [5]",
        "[catalogs.sports]\nlateness = 5",
        "[catalogs.sports]\ncommit_ms = 5",
        "catalogs = 5",
    ],
)
def test_what_it_refuses_the_settings_refuse(validator, tmp_path, written):
    assert not validator.is_valid(tomllib.loads(written))
    (tmp_path / "test.toml").write_text(written)
    with pytest.raises(SettingsError):
        load({}, tmp_path / "test.toml")


@pytest.mark.parametrize(
    "written",
    [
        "",
        "[postgres]\ndsn_file = '/x'",
        "[realtime]\ntrusted_proxies = ['10.0.0.0/8']",
        "[catalogs.a]",
        "key_passphrase_file = 'x'",
    ],
)
def test_what_the_settings_take_it_takes(validator, tmp_path, written):
    (tmp_path / "test.toml").write_text(written)
    load({}, tmp_path / "test.toml")
    validator.validate(tomllib.loads(written))
