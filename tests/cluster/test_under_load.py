"""While the API is asked and the stream followed all the time: restarts, and a scaler at work."""

import time

import pytest
from cluster_world import takes_its_time
from under_load import expired, loaded, newest

pytestmark = [pytest.mark.timeout(1800), takes_its_time]
OURS = ("api", "realtime", "ingest", "normalize", "feature", "model", "bundle", "indexer", "jobs", "warden", "signer")
"""Roles in the order in which they are restarted."""


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
    assert report["failed"] == []
    assert report["answered"].keys() == {"200"}
    assert report["gaps"] == []
    assert report["seen"].keys() == {"epochs.sports", "epochs.crypto"}
    assert expired(release, before) == []
    release.matches(before["sports"], after)


def test_the_api_is_scaled_under_load_and_back(release):
    def replicas() -> int:
        return len(release.pods("api"))

    # of the little that dev's values ask for, which two idle pods use more of than one may
    told = ("enabled=true", "min=1", "max=2", "cpuPercent=300", "quietSeconds=20")
    scaling = ",".join(f"api.autoscaling.{each}" for each in told)
    done = release.upgrade("--set", scaling)
    assert done.returncode == 0, done.stderr
    try:
        release.until(lambda: replicas() == 1, 300)  # what starts costs CPU too, and may have been answered
        with loaded(release, "load-scale", askers=8, pause_s=0) as load:
            release.until(lambda: replicas() == 2, 180)
            release.until(lambda: not release.unready())
            report = load.report()
        assert report["failed"] == []
        release.until(lambda: replicas() == 1, 300)
    finally:
        done = release.upgrade()
    assert done.returncode == 0, done.stderr
