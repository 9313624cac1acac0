"""One engine, its images and one deployment on it for all tests here."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for compose_world
sys.path.insert(0, str(Path(__file__).parents[2] / "infra" / "images"))  # for locks

from compose_world import Deployment, Engine, build_images


@pytest.fixture(scope="session")
def engine() -> Engine:
    if not shutil.which("docker"):
        pytest.skip("there is no docker command here")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers: start one, or name it by DOCKER_HOST")
    return Engine()


@pytest.fixture(scope="session")
def images(engine) -> dict[str, str]:
    """The variables that name the images of servers; ours are m0club/NAME:dev."""
    return build_images(engine)


@pytest.fixture(scope="session")
def deployment(engine, images) -> Iterator[Deployment]:
    made = Deployment(engine, images)
    try:
        made.up()
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "5", check=False)
