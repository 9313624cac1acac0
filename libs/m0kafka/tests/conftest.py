"""Fixtures of the tests of clusters."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for memory_cluster


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """One Apache Kafka, in the clear."""
    from m0local.testing import kafka_server

    with kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server
