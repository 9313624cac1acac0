"""A real Kubernetes, and the chart's dev values installed on it.

KUBECONFIG names a cluster that is there, which gets images from the registry that M0_IMAGE_REGISTRY names, with M0_TAG.
Else M0_TEST_CLUSTER names a program with the verbs build, up, env, load and down; the images that it loads are archives
in the folder M0_IMAGES, or built by the Docker engine that answers.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import locks
import pytest
from compose_world import SLOW_S, Awaited, Engine, build_images

ROOT = Path(__file__).parents[2]
CHART = ROOT / "infra" / "helm" / "m0club"
SERVERS = ("kafka", "postgres", "valkey")
IN_TOOLBOX = ("exec", "deploy/m0club-toolbox", "--")
SMOKE = bool(os.environ.get("SMOKE"))
"""A part of it, as every run of the checks does."""
takes_its_time = pytest.mark.skipif(SMOKE, reason="SMOKE=1: a part that takes its time")


class Cluster:
    """kubectl and helm on one cluster."""

    def __init__(self, env: dict[str, str], tool: Path | None) -> None:
        self.env = env
        self.tool = tool

    def run(self, *command: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=self.env)

    def __call__(self, *command: str, given: str | None = None) -> str:
        done = self.run(*command, given=given)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def load(self, archive: Path) -> None:
        """Bring images to a cluster of a tool's."""
        self(str(self.tool), "load", str(archive))


@contextmanager
def started(tool: Path) -> Iterator[Cluster]:
    """A cluster of the program's, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="m0k", dir="/tmp") as home:
        env = os.environ | {"KUBE_HOME": os.environ.get("KUBE_HOME") or f"{home}/k"}
        bundle = tool.parent / "kube.tar.xz"
        env |= {"KUBE_BUNDLE": str(bundle)} if bundle.exists() and "KUBE_BUNDLE" not in env else {}
        for verb in ("build", "up"):
            subprocess.run([tool, verb], env=env, check=True)
        try:
            said = subprocess.run([tool, "env"], env=env, check=True, capture_output=True, text=True).stdout
            told = dict(re.findall(r"(\w+)=(\S+)", said))
            yield Cluster(env | told | {"PATH": told["PATH"].replace("$PATH", env["PATH"])}, tool)
        finally:
            subprocess.run([tool, "down"], env=env, check=True)


def images_of(cluster: Cluster) -> list[str]:
    """Bring the images to the cluster; what names them for Helm."""
    if cluster.tool is None:
        named = {"global.imageRegistry": os.environ["M0_IMAGE_REGISTRY"], "global.imageTag": os.environ["M0_TAG"]}
        named |= {f"servers.{each}.image": os.environ[f"{each.upper()}_IMAGE"] for each in SERVERS}
    else:
        ours = {f"{name.upper()}_IMAGE": f"localhost/m0club-test/{name}:1" for name in SERVERS}
        with tempfile.TemporaryDirectory() as folder:
            archives = os.environ.get("M0_IMAGES")
            if archives is None:
                engine = Engine()
                ours = build_images(engine)
                archives = folder
                images = [*(f"m0club/{name}:dev" for name in locks.IMAGES), *ours.values()]
                engine("save", "-o", f"{folder}/images.tar", *images)
            for archive in sorted(Path(archives).glob("*.tar")):
                cluster.load(archive)
        named = {f"servers.{each}.image": ours[f"{each.upper()}_IMAGE"] for each in SERVERS}
    return [word for key, image in named.items() for word in ("--set-string", f"{key}={image}")]


def plain_pod(name: str, image: str, command: Sequence[str], labels: Mapping[str, str] = MappingProxyType({})) -> dict:
    """A pod of a test's own with all that Pod Security `restricted` asks for, and no right."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": name,
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": list(command),
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


class Release(Awaited):
    """The chart in a namespace of its own."""

    passing = (AssertionError, KeyError, ValueError)
    pause_s = 1.0

    def __init__(self, cluster: Cluster, images: list[str]) -> None:
        self.cluster = cluster
        self.images = images
        self.namespace = f"m0test-{os.getpid()}"

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return self.cluster("kubectl", "-n", self.namespace, *arguments, given=given)

    def helm(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.cluster.run("helm", "-n", self.namespace, *arguments)

    def upgrade(self, *told: str) -> "subprocess.CompletedProcess[str]":
        """`helm upgrade --install` of the dev values, with what is told besides."""
        values = ("-f", str(CHART / "values.dev.yaml"), *self.images)
        return self.helm(
            "upgrade", "--install", "m0club", str(CHART), *values, "--wait", "--timeout", f"{SLOW_S:.0f}s", *told
        )

    def make_namespace(self) -> None:
        file = (ROOT / "infra" / "k8s" / "namespaces" / "m0club.yaml").read_text()
        self.cluster("kubectl", "apply", "-f", "-", given=file.replace("name: m0club", f"name: {self.namespace}"))

    def elsewhere(self, name: str = "other") -> "Release":
        """Another namespace, with nothing in it."""
        other = Release(self.cluster, self.images)
        other.namespace += f"-{name}"
        other.make_namespace()
        return other

    def install(self) -> None:
        """The first time. A whole run begins with an attempt that fails, for settings that nobody can read."""
        self.make_namespace()
        if not SMOKE:
            failed = self.upgrade("--set-string", r"config.dev\.toml=plaid", "--timeout", "60s")
            assert failed.returncode, "nobody could read the settings, and the installation succeeded"
            print(failed.stderr)
        done = self.upgrade()
        assert done.returncode == 0, f"{done.stderr}\n{self.kubectl('get', 'pods,jobs')}"

    def remove(self) -> None:
        self.cluster.run("kubectl", "delete", "namespace", self.namespace, "--wait=false")

    def pods(self, component: str | None = None) -> dict[str, dict]:
        """Those that are to stay, by name."""
        only = ("-l", f"app.kubernetes.io/component={component}") if component else ()
        items = json.loads(self.kubectl("get", "pods", *only, "-o", "json"))["items"]
        owners = {each["metadata"]["name"]: each["metadata"].get("ownerReferences", ()) for each in items}
        stay = {name for name, owned in owners.items() if any(owner["kind"] != "Job" for owner in owned)}
        return {each["metadata"]["name"]: each for each in items if each["metadata"]["name"] in stay}

    def unready(self) -> list[str]:
        """Pods that are not ready."""
        return [
            name
            for name, pod in self.pods().items()
            if not all(each["ready"] for each in pod["status"].get("containerStatuses", [{"ready": False}]))
        ]

    def m0(self, *arguments: str) -> str:
        """The command, in the toolbox."""
        return self.kubectl(*IN_TOOLBOX, "m0", *arguments)

    def python(self, program: str, *arguments: str) -> str:
        """What a program in the toolbox prints."""
        return self.kubectl(*IN_TOOLBOX, "python3", "-c", program, *arguments)

    def matches(self, *epochs: int) -> None:
        """Epochs of sports are what their replay comes to."""
        for epoch in epochs:
            said = self.m0("replay", "sports", str(epoch))
            assert said.startswith("MATCH"), said

    def get(self, path: str) -> dict:
        """What the API answers a pod of ours."""
        asks = (
            f"import urllib.request as u; print(u.urlopen('http://m0club-api:8080{path}', timeout=10).read().decode())"
        )
        return json.loads(self.python(asks))

    def epochs(self, catalog: str) -> list[dict]:
        return self.get(f"/v1/epochs?limit=20&catalog={catalog}")["items"]

    def seen(self) -> str:
        return self.kubectl("get", "pods")
