"""Every test of the chart is one with each Helm that is here."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for chart_world

from chart_world import Helm


def programs() -> list[str]:
    """M0_HELM names them, with colons between; else the one in PATH."""
    named = [each for each in os.environ.get("M0_HELM", "").split(":") if each]
    return named or [each for each in [shutil.which("helm")] if each]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "helm" in metafunc.fixturenames:
        found = programs()
        why = "there is no helm here: install Helm 3.13 or newer, or name it by M0_HELM"
        skipped = [pytest.param(None, marks=pytest.mark.skip(reason=why))]
        metafunc.parametrize("helm", found or skipped, indirect=True, scope="session", ids=str)


@pytest.fixture(scope="session")
def helm(request: pytest.FixtureRequest) -> Helm:
    return Helm(request.param)
