"""A second version of all images, made of the first by the Docker engine: a file of one package changed or added."""

import tempfile
from pathlib import Path

import locks
import pytest
from cluster_world import Cluster
from compose_world import Engine

WHERE = """
import importlib.util, sys
found = importlib.util.find_spec(sys.argv[1])
print(*(found.submodule_search_locations if found else ()))
"""


def change(cluster: Cluster, tag: str, package: str, path: str, text: str) -> None:
    """Bring every image of ours to the cluster as m0club/NAME:tag, with the file `path` of a package where it is.

    Bytecode that an image has of the file stays, so what it does has to stay too.
    """
    engine = Engine()
    if cluster.tool is None or engine.run("info").returncode:
        pytest.skip("a second version of the images needs a Docker engine, and a cluster that archives are loaded into")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "changed").write_text(text)
        images = []
        for name in locks.IMAGES:
            first, second = f"m0club/{name}:dev", f"m0club/{name}:{tag}"
            alone = ("run", "--rm", "--network=none", "--entrypoint=python3", first, "-c", WHERE, package)
            if place := engine(*alone).strip():
                built = f"FROM {first}\nCOPY --chmod=644 changed {place}/{path}\n"
                engine("build", "-q", "-t", second, "-f", "-", folder, input=built)
            else:
                engine("tag", first, second)
            images.append(second)
        archive = Path(folder) / "images.tar"
        engine("save", "-o", str(archive), *images)
        cluster.load(archive)


def build_id(tag: str) -> str:
    """The id of the build in the images of a tag."""
    return Engine()("run", "--rm", "--network=none", "--entrypoint=m0", f"m0club/m0:{tag}", "release", "id").strip()
