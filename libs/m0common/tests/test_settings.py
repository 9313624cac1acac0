"""A settings file that cannot be read is one sentence that names it and the remedy."""

import pytest
from m0common.errors import SettingsError
from m0common.settings import load


def test_a_folder_in_place_of_the_settings_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=rf"settings file {tmp_path} cannot be read: .*: set M0_CONFIG_PATH to one"):
        load({"M0_CONFIG_PATH": str(tmp_path)})


def test_a_path_that_no_file_can_have_is_refused():
    with pytest.raises(SettingsError, match="cannot be read: File name too long: set M0_CONFIG_PATH to one"):
        load({"M0_CONFIG_PATH": "x" * 5000})


def test_a_settings_file_in_another_encoding_is_named(tmp_path):
    file = tmp_path / "latin.toml"
    file.write_bytes('env = "é"'.encode("latin-1"))
    with pytest.raises(SettingsError, match=rf"settings file {file} is not UTF-8: .*: save it as UTF-8"):
        load({"M0_CONFIG_PATH": str(file)})
