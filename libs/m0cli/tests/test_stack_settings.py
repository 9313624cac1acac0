"""What a command is told: the user's own variables stand before those of an installed stack."""

import pytest
from m0cli.stack_settings import overridden, told
from m0common.errors import SettingsError


def test_a_variable_of_ones_own_takes_the_place_of_the_stacks_and_of_its_twin():
    stack = {"M0_KEY_PASSPHRASE_FILE": "/stack", "M0_PG_DSN": "stack", "M0_KAFKA_PASSWORD": "stack", "M0_HOME": "stack"}
    own = {"M0_KEY_PASSPHRASE": "mine", "M0_PG_DSN_FILE": "/mine", "M0_KAFKA_PASSWORD_FILE": "/mine"}
    assert overridden(stack, own) == {"M0_HOME": "stack", **own}


def test_the_control_key_and_the_file_of_its_seed_are_no_twins():
    stack = {"M0_CONTROL_KEY": "ab", "M0_CONTROL_KEY_FILE": "/stack"}
    assert overridden(stack, {"M0_CONTROL_KEY_FILE": "/mine"}) == stack | {"M0_CONTROL_KEY_FILE": "/mine"}
    assert overridden(stack, {"M0_CONTROL_KEY": "cd"}) == stack | {"M0_CONTROL_KEY": "cd"}


@pytest.mark.parametrize("name", ["M0_PG_DSN", "M0_KAFKA_BOOTSTRAP", "M0_RPC_URL", "M0_REDIS_URL"])
def test_an_address_that_is_empty_is_not_taken_for_one_that_is_not_there(monkeypatch, name):
    monkeypatch.setenv(name, "")
    with pytest.raises(SettingsError, match=f"{name} is empty: give it an address, or unset it"):
        told()
