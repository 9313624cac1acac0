"""One cluster, its images and one release on it for all tests here."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for cluster_world
sys.path.insert(0, str(Path(__file__).parents[1] / "compose"))  # for compose_world, which builds the images
sys.path.insert(0, str(Path(__file__).parents[2] / "infra" / "images"))  # for locks

from cluster_world import Cluster, Release, images_of, started


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if tool := os.environ.get("M0_TEST_CLUSTER"):
        with started(Path(tool)) as made:
            yield made
    elif os.environ.get("KUBECONFIG"):
        yield Cluster(dict(os.environ), None)
    else:
        pytest.skip("no cluster is named: set KUBECONFIG, or M0_TEST_CLUSTER to a program that starts one")


@pytest.fixture(scope="session")
def images(cluster) -> list[str]:
    """What names the images for Helm, once the cluster has them."""
    return images_of(cluster)


@pytest.fixture(scope="session")
def release(cluster, images) -> Iterator[Release]:
    made = Release(cluster, images)
    try:
        made.install()
        yield made
    finally:
        made.remove()
