"""References from numpy and scipy, whatever ran before them."""

import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="session")
def flags_of_others():
    """Take no flag of the processor for a fault of the reference: a virtual machine in the same process leaves some."""
    with np.errstate(invalid="ignore"):
        yield
