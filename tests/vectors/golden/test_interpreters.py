"""The golden log gives the same bytes on every CPython that is supported."""

import json
from pathlib import Path

import golden_run
import interpreters
import pytest


@pytest.fixture(scope="module")
def told():
    return golden_run.told()


@pytest.mark.timeout(300)  # on a cold cache the wheels are fetched
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_an_interpreter_makes_of_the_log_what_every_other_does(tmp_path, told, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no CPython {version} on this machine: the golden log was not run on it")
    made = interpreters.environment(python, tmp_path / "venv")
    assert json.loads(interpreters.run(made, Path(golden_run.__file__))) == told


def test_an_interpreter_that_is_not_there_is_not_found():
    assert interpreters.find("3.99") is None
