"""The record of a deployment: services take from it what neither variables nor their settings file say."""

import json

import pytest
from m0common import deployment_record
from m0common.errors import SettingsError
from m0common.settings import load

RECORD = {"programs": {"oracle": "Or1", "fee-router": "Fee", "later": "X"}, "genesis_hash": "ab" * 32, "rpc_url": "x"}


@pytest.fixture
def told(tmp_path):
    """Settings by variables, a settings file and a record."""

    def settings(config="", record=RECORD, **variables):
        (tmp_path / "config.toml").write_text(config)
        file = tmp_path / "deployment.json"
        if record is not None:
            file.write_text(record if isinstance(record, str) else json.dumps(record))
        return load({"M0_DEPLOYMENT_FILE": str(file), **variables}, tmp_path / "config.toml").deployment

    return settings


def test_it_says_what_nothing_else_says(told):
    assert told().oracle_program_id == "Or1"
    assert told().fee_router_program_id == "Fee"
    assert told().genesis_hash == "ab" * 32
    assert told().control_key == told().registry_program_id == ""


def test_variables_and_the_settings_file_win_over_it_but_not_what_is_yet_to_be_filled_in(told):
    assert told(M0_ORACLE_PROGRAM_ID="Mine").oracle_program_id == "Mine"
    assert told('[deployment]\noracle_program_id = "Written"').oracle_program_id == "Written"
    config = '[deployment]\noracle_program_id = "REPLACE: base58"\ngenesis_hash = ""\ncontrol_key = "REPLACE: hex"'
    assert told(config).oracle_program_id == "Or1"
    assert told(config).genesis_hash == "ab" * 32
    assert told(config).control_key == "REPLACE: hex"


def test_one_that_is_not_there_yet_says_nothing(told):
    assert told(record=None).oracle_program_id == ""


def test_it_says_where_raw_was_restored_to_unless_a_variable_does(tmp_path):
    config, file = tmp_path / "config.toml", tmp_path / "deployment.json"
    config.write_text("[kafka]\npartitions = 2\n")
    deployment_record.write(file, {"kafka_restored_ends": [5, 0]})
    environ = {"M0_CONFIG_PATH": str(config), "M0_DEPLOYMENT_FILE": str(file)}
    assert load(environ).kafka.restored_ends == (5, 0)
    assert load(environ | {"M0_KAFKA_RESTORED_ENDS": "7,1"}).kafka.restored_ends == (7, 1)
    with pytest.raises(SettingsError, match="names 3 partitions of 2: write the line"):
        load(environ | {"M0_KAFKA_RESTORED_ENDS": "7,1,1"})
    with pytest.raises(SettingsError, match="restored_ends"):
        load(environ | {"M0_KAFKA_RESTORED_ENDS": "7,-1"})


@pytest.mark.parametrize("record", ["", "{", "[]", "null", "\x00", "[" * 100_000])
def test_a_damaged_one_is_named_with_the_remedy(told, record):
    with pytest.raises(SettingsError, match=r"deployment\.json .*: put it back from a copy, or delete it"):
        told(record=record)


def test_it_is_replaced_in_one_step(tmp_path):
    file = tmp_path / "deployment.json"
    deployment_record.write(file, RECORD)
    deployment_record.write(file, {})
    assert deployment_record.read(file) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["deployment.json"]
    with pytest.raises(SettingsError, match="cannot be written"):
        deployment_record.write(tmp_path / "nowhere" / "deployment.json", {})
