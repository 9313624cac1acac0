"""While the API is asked and the stream followed all the time: restarts, a scaler at work, a release forth and back."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster_world import plain_pod

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(os.environ.get("SMOKE")), reason="SMOKE=1: a part that takes its time"),
]
PROGRAM = (Path(__file__).parent / "load.py").read_text()
OURS = ("api", "realtime", "ingest", "normalize", "feature", "model", "bundle", "indexer", "jobs", "warden", "signer")
"""Roles in the order in which they are restarted."""


class Load:
    """A pod that asks and follows; `report` ends it and says what came of it."""

    def __init__(self, release, name: str, askers: int, pause_s: float) -> None:
        self._release = release
        self._name = name
        box = next(iter(release.pods("toolbox").values()))
        # it may reach what the toolbox may
        labels = {key: value for key, value in box["metadata"]["labels"].items() if key != "pod-template-hash"}
        address = ("http://m0club-api:8080", "ws://m0club-realtime:8090/ws")
        made = plain_pod(
            name,
            box["spec"]["containers"][0]["image"],
            ["python3", "-c", PROGRAM, *address, str(askers), str(pause_s)],
            labels,
        )
        release.kubectl("apply", "-f", "-", given=json.dumps(made))
        release.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")

    def report(self) -> dict:
        self._release.kubectl("exec", self._name, "--", "python3", "-c", "import os; os.kill(1, 10)")
        found: dict = self._release.until(lambda: json.loads(self._release.kubectl("logs", self._name)), 60)
        return found

    def end(self) -> None:
        self._release.kubectl("delete", "pod", self._name, "--grace-period=0", "--force")


@contextmanager
def loaded(release, name: str, askers: int = 2, pause_s: float = 0.2) -> Iterator[Load]:
    load = Load(release, name, askers, pause_s)
    try:
        yield load
    finally:
        load.end()


def newest(release) -> dict[str, int]:
    """The newest final epoch of each catalog, once there is one."""
    return {catalog: release.final(catalog) for catalog in ("sports", "crypto")}


def expired(release, since: dict[str, int]) -> list[str]:
    """Epochs behind these that are expired."""
    return [
        f"{catalog} {entry['epoch_id']}"
        for catalog, epoch in since.items()
        for entry in release.get(f"/v1/epochs?limit=100&catalog={catalog}")["items"]
        if entry["epoch_id"] > epoch and entry["status"] == "expired"
    ]


def restart(release, role: str) -> None:
    """`kubectl rollout restart` of all that runs a role, one after the other, and wait for each."""
    kind = "statefulset" if role == "signer" else "deployment"
    for name in release.kubectl("get", kind, "-l", f"app.kubernetes.io/component={role}", "-o", "name").split():
        release.kubectl("rollout", "restart", name)
        release.kubectl("rollout", "status", name, "--timeout=300s")


def test_every_service_is_restarted_and_nobody_notices(release):
    before = newest(release)
    with loaded(release, "load-restart") as load:
        for role in OURS:
            at = time.monotonic()
            restart(release, role)
            print(f"{role}: restarted in {time.monotonic() - at:.0f} s", flush=True)
        after = release.final(after=release.final() + 1)
        report = load.report()
    print(json.dumps({name: report[name] for name in ("answered", "seen", "retries")}))
    assert report["failed"] == []
    assert report["answered"].keys() == {"200"}
    assert report["gaps"] == []
    assert report["seen"].keys() == {"epochs.sports", "epochs.crypto"}
    assert expired(release, before) == []
    for epoch in (before["sports"], after):
        assert release.m0("replay", "sports", str(epoch)).startswith("MATCH")


def test_the_api_is_scaled_under_load_and_back(release):
    def replicas() -> int:
        return len(release.pods("api"))

    scaling = ",".join(f"api.autoscaling.{told}" for told in ("enabled=true", "min=1", "max=2"))
    done = release.upgrade("--set", scaling)
    assert done.returncode == 0, done.stderr
    try:
        assert replicas() == 1
        with loaded(release, "load-scale", askers=8, pause_s=0) as load:
            release.until(lambda: replicas() == 2, 180)
            release.until(lambda: not release.unready())
            report = load.report()
        assert report["failed"] == []
        release.until(lambda: replicas() == 1, 300)
    finally:
        done = release.upgrade()
    assert done.returncode == 0, done.stderr


def test_a_release_goes_forth_and_back_and_nobody_notices(release):
    before = newest(release)
    with loaded(release, "load-release") as load:
        done = release.upgrade("--set", "global.logLevel=debug")
        assert done.returncode == 0, done.stderr
        done = release.helm("rollback", "m0club", "--wait", "--timeout", "600s")
        assert done.returncode == 0, done.stderr
        after = release.final(after=release.final() + 1)
        report = load.report()
    print(json.dumps({name: report[name] for name in ("answered", "seen", "retries")}))
    assert report["failed"] == []
    assert report["gaps"] == []
    lost = expired(release, before)
    print(f"epochs that expired: {lost or 'none'}")
    for epoch in (before["sports"], after):
        assert release.m0("replay", "sports", str(epoch)).startswith("MATCH")
