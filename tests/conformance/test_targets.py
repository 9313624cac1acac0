"""Says which targets this run compares."""

import os
from pathlib import Path

import pytest


@pytest.mark.validator
def test_the_real_validator_is_compared_too():
    binary = os.environ.get("M0_TEST_VALIDATOR")
    if not binary:
        pytest.skip("M0_TEST_VALIDATOR does not name a solana-test-validator: only localnet is tested")
    assert Path(binary).is_file(), f"M0_TEST_VALIDATOR names {binary}, which is no file"
