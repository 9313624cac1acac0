"""What makes a deployment this one is read in one place, and refused with the variable's name."""

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0common.deployment import Deployment, program_id
from m0common.errors import SettingsError
from m0common.settings import Identity, Settings


@given(st.binary(min_size=32, max_size=32))
def test_a_program_id_is_the_32_bytes_of_its_base58(raw):
    settings = Settings(deployment=Identity(oracle_program_id=base58.b58encode(raw).decode()))
    assert program_id(settings, "oracle") == raw


@pytest.mark.parametrize("value", ["", "0OIl", "abc", "1" * 31, "1" * 33, "z" * 44, "REPLACE"])
def test_what_is_no_program_id_is_refused_by_name(value):
    with pytest.raises(SettingsError, match=r"M0_REGISTRY_PROGRAM_ID is .*32 bytes in base58"):
        program_id(Settings(deployment=Identity(registry_program_id=value)), "registry")


def test_a_deployment_without_a_chain_or_a_control_key_is_refused_by_name():
    with pytest.raises(SettingsError, match="M0_GENESIS_HASH is ''"):
        Deployment.of(Settings())
    with pytest.raises(SettingsError, match="M0_CONTROL_KEY is 'ab'"):
        Deployment.of(Settings(deployment=Identity(genesis_hash="ab" * 32, control_key="ab")))
