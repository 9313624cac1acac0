"""A pod that asks the API and follows the stream while something else happens, and what came of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster_world import Release, plain_pod

PROGRAM = (Path(__file__).parent / "load.py").read_text()


class Load:
    """A pod in a namespace of its own, which reaches what is public; `report` ends it and says what came of it."""

    def __init__(self, release: Release, name: str, askers: int, pause_s: float) -> None:
        self._there = release.elsewhere(name)
        image = next(iter(release.pods("toolbox").values()))["spec"]["containers"][0]["image"]
        host = release.namespace
        address = (f"http://m0club-api.{host}:8080", f"ws://m0club-realtime.{host}:8090/ws")
        made = plain_pod("load", image, ["python3", "-c", PROGRAM, *address, str(askers), str(pause_s)])
        self._there.kubectl("apply", "-f", "-", given=json.dumps(made))
        self._there.kubectl("wait", "--for=condition=Ready", "pod/load", "--timeout=120s")

    def report(self) -> dict:
        self._there.kubectl("exec", "load", "--", "python3", "-c", "import os; os.kill(1, 10)")
        found: dict = self._there.until(lambda: json.loads(self._there.kubectl("logs", "load")), 60)
        print(json.dumps({name: found[name] for name in ("answered", "seen", "retries")}), flush=True)
        return found

    def end(self) -> None:
        self._there.remove()


@contextmanager
def loaded(release: Release, name: str, askers: int = 2, pause_s: float = 0.2) -> Iterator[Load]:
    """A load for the length of the block."""
    load = Load(release, name, askers, pause_s)
    try:
        yield load
    finally:
        load.end()


def newest(release: Release) -> dict[str, int]:
    """The newest final epoch of each catalog, once there is one."""
    return {catalog: release.final(catalog) for catalog in ("sports", "crypto")}


def expired(release: Release, since: dict[str, int]) -> list[str]:
    """Epochs behind these that are expired."""
    return [
        f"{catalog} {entry['epoch_id']}"
        for catalog, epoch in since.items()
        for entry in release.get(f"/v1/epochs?limit=100&catalog={catalog}")["items"]
        if entry["epoch_id"] > epoch and entry["status"] == "expired"
    ]
