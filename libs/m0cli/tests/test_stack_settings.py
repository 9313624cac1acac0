"""What a command is told: the user's own variables stand before those of an installed stack."""

from m0cli.stack_settings import overridden


def test_a_variable_of_ones_own_takes_the_place_of_the_stacks_and_of_its_twin():
    stack = {"M0_KEY_PASSPHRASE_FILE": "/stack", "M0_PG_DSN": "stack", "M0_KAFKA_PASSWORD": "stack", "M0_HOME": "stack"}
    own = {"M0_KEY_PASSPHRASE": "mine", "M0_PG_DSN_FILE": "/mine", "M0_KAFKA_PASSWORD_FILE": "/mine"}
    assert overridden(stack, own) == {"M0_HOME": "stack", **own}


def test_the_control_key_and_the_file_of_its_seed_are_no_twins():
    stack = {"M0_CONTROL_KEY": "ab", "M0_CONTROL_KEY_FILE": "/stack"}
    assert overridden(stack, {"M0_CONTROL_KEY_FILE": "/mine"}) == stack | {"M0_CONTROL_KEY_FILE": "/mine"}
    assert overridden(stack, {"M0_CONTROL_KEY": "cd"}) == stack | {"M0_CONTROL_KEY": "cd"}
