"""A chart as one program renders it, and the values of each environment with what its operator fills in."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "infra" / "helm" / "m0club"


class Helm:
    """One helm program."""

    def __init__(self, program: str) -> None:
        self.program = program
        self._rendered: dict[tuple[str, ...], str] = {}

    def run(self, *arguments: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([self.program, *arguments], input=given, capture_output=True, text=True, check=False)

    def __call__(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"helm {' '.join(arguments)}:\n{done.stderr}"
        return done.stdout

    def text(self, *arguments: str, kube: str = "1.32.0") -> str:
        """What `helm template` prints."""
        told = ("--kube-version", kube, *arguments)
        if told not in self._rendered:
            self._rendered[told] = self("template", "m0club", str(CHART), "--namespace", "m0club", *told)
        return self._rendered[told]

    def objects(self, *arguments: str, kube: str = "1.32.0") -> list[dict[str, Any]]:
        """The same, read."""
        return [each for each in yaml.load_all(self.text(*arguments, kube=kube), yaml.CSafeLoader) if each]

    def refusal(self, *arguments: str) -> str:
        """What it says where it renders nothing."""
        done = self.run("template", "m0club", str(CHART), "--namespace", "m0club", *arguments)
        assert done.returncode, "it was rendered"
        return done.stderr


TAG = "global.imageTag=v1.2.3"
SERVERS = ("kafka", "postgres", "rpc", "cluster")
OUTSIDE = ",".join(f"networkPolicies.{server}={{192.0.2.{n}/32}}" for n, server in enumerate(SERVERS, 1))
ENVIRONMENTS = {
    "dev": ("-f", str(CHART / "values.dev.yaml")),
    "staging": ("-f", str(CHART / "values.staging.yaml"), "--set", TAG),
    "releases": (
        "-f",
        str(CHART / "values.staging.yaml"),
        "-f",
        str(Path(__file__).with_name("releases-values.yaml")),
    ),
    "prod": ("-f", str(CHART / "values.prod.yaml"), "--set", TAG, "--set", OUTSIDE),
}
APIS = (
    "keda.sh/v1alpha1",
    "external-secrets.io/v1",
    "monitoring.coreos.com/v1",
    "gateway.networking.k8s.io/v1",
)
"""What a cluster may have besides."""
OPTIONS = {
    "keda": ("--set", "keda.enabled=true,keda.prometheus=http://prometheus:9090"),
    "external secrets": (
        "--set",
        "externalSecrets.enabled=true,externalSecrets.store.name=vault,externalSecrets.key=m0",
    ),
    "monitor": ("--set", "serviceMonitor.enabled=true"),
    "gateway": ("--set", "gateway.enabled=true,gateway.parentRefs[0].name=public"),
}


def with_apis(*arguments: str) -> tuple[str, ...]:
    """For a cluster that has everything."""
    return (*arguments, *(word for api in APIS for word in ("--api-versions", api)))


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(name of the object, its metadata and spec of a pod) of each."""
    for each in objects:
        match each["kind"]:
            case "Pod":
                yield each["metadata"]["name"], each["metadata"], each["spec"]
            case "Deployment" | "StatefulSet" | "Job":
                template = each["spec"]["template"]
                yield each["metadata"]["name"], template["metadata"], template["spec"]
            case "CronJob":
                template = each["spec"]["jobTemplate"]["spec"]["template"]
                yield each["metadata"]["name"], template["metadata"], template["spec"]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a podSelector takes a pod with these labels."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
