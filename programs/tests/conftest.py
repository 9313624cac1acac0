"""Fixtures that run the committed programs in LiteSVM."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent))

from m0svm.oracle import Oracle


@pytest.fixture
def oracle() -> Oracle:
    """An oracle with config, signer set and catalog."""
    return Oracle().ready()
