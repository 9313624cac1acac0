"""Signers of a namespace of Kubernetes on to the version that their StatefulSets name, one at a time.

Each signer is a StatefulSet of one replica whose `partition` is 1: a new template changes no pod, and a pod that dies
comes back as it was. Here a set's partition is 0 until its pod is ready at the new revision, and 1 again then, whatever
came: who installs the sets finds the value that it wants, and no other manager's.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import httpx2
from lightkube import Client
from lightkube.core.exceptions import ApiError
from lightkube.models.core_v1 import ContainerStatus
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import Pod

from m0deploy.errors import DeployError

REVISION = "controller-revision-hash"
LABELS = {"app.kubernetes.io/name": "m0club", "app.kubernetes.io/component": "signer"}
POLL_S = 2.0
SETTLED_S = 10.0
"""So long a pod has to be ready before it counts: one that ends at once was ready too."""
_NOT_FOUND = 404
_SERVER = 500
Say = Callable[[str], None]


class Look(NamedTuple):
    """A signer as it stands; `moved`: its pod is of the newest revision. `why` says what keeps it from being ready."""

    moved: bool
    ready: bool
    uid: str
    why: str


class Roll:
    """Signers by the names of their StatefulSets. Methods raise DeployError for what the cluster refuses."""

    def __init__(
        self, client: Client, say: Say, within_s: float, *, settled_s: float = SETTLED_S, poll_s: float = POLL_S
    ) -> None:
        self._client, self._say = client, say
        self._within_s, self._settled_s, self._poll_s = within_s, settled_s, poll_s

    def found(self) -> list[str]:
        """The signers of the namespace. Raises DeployError where there are none."""
        self._say(f"asks the cluster for the signers of namespace {self._client.namespace}")
        with _refused("the list of StatefulSets"):
            there = self._client.list(StatefulSet, namespace=self._client.namespace, labels={**LABELS})
            names = sorted(str(each.metadata.name) for each in there if each.metadata is not None)
        if not names:
            raise DeployError(
                f"namespace {self._client.namespace} has no StatefulSet of a signer: name another by --namespace, or "
                "the StatefulSets"
            )
        return sorted(names, key=lambda name: (len(name), name))

    def run(self, names: Sequence[str]) -> list[str]:
        """Bring each signer on, those that are not ready first, for they sign nothing now; returns whom it moved.

        Where all are of the newest revision it waits for none. Raises DeployError naming the first that does not become
        ready in time: those behind it stay as they are.
        """
        looks = {name: self._until_observed(name) for name in names}
        if all(look.moved for look in looks.values()):
            return []
        for name in sorted(names, key=lambda name: looks[name].ready):
            self._bring(name)
        return [name for name in names if not looks[name].moved]

    def _bring(self, name: str) -> None:
        look = self._until_observed(name)
        if look.moved:
            self._until_ready(name)
            return
        self._say(f"{name}: goes on to the new version")
        try:
            self._partition(name, 0)
            self._until_ready(name)
        finally:
            self._partition(name, 1)

    def _until_observed(self, name: str) -> Look:
        """What it is once its controller has seen what was installed."""
        deadline = time.monotonic() + self._within_s
        why = "no controller has seen its newest version: look at the cluster"
        while time.monotonic() < deadline:
            try:
                if (look := self._look(name)) is not None:
                    return look
            except _AwayError as error:
                if str(error) != why:
                    self._say(f"{name}: {error}; it is asked again for {self._within_s:.0f} s")
                why = str(error)
            time.sleep(self._poll_s)
        raise DeployError(f"StatefulSet {name}: {why}")

    def _until_ready(self, name: str) -> None:
        deadline = time.monotonic() + self._within_s
        since, uid, why = None, "", "nothing is known of it"
        while time.monotonic() < deadline:
            try:
                look = self._look(name)
            except _AwayError as error:
                since, why = None, str(error)
                time.sleep(self._poll_s)
                continue
            if look is not None:
                why = look.why
                if not (look.moved and look.ready):
                    since = None
                elif since is None or look.uid != uid:
                    since, uid = time.monotonic(), look.uid
                elif time.monotonic() - since >= self._settled_s:
                    self._say(f"{name}: ready")
                    return
            time.sleep(self._poll_s)
        kubectl = f"kubectl -n {self._client.namespace}"
        raise DeployError(
            f"{name} is not ready at the new version after {self._within_s:.0f} s ({why}); none behind it was moved. "
            f"`{kubectl} logs {name}-0` says why; `{kubectl} delete pod {name}-0` brings its version before back; then "
            "upgrade to one that starts, or `helm rollback`. When it was only late, `m0 signers roll` goes on"
        )

    def _look(self, name: str) -> Look | None:
        """None while the controller has not seen the newest template."""
        with _refused(f"StatefulSet {name}"):
            there = self._client.get(StatefulSet, name)
        seen = there.status.observedGeneration if there.status is not None else None
        generation = there.metadata.generation if there.metadata is not None else None
        if there.status is None or seen is None or generation is None or seen < generation:
            return None
        wanted = there.status.updateRevision
        with _refused(f"Pod {name}-0"):
            try:
                pod = self._client.get(Pod, f"{name}-0")
            except ApiError as error:
                if error.status.code != _NOT_FOUND:
                    raise
                return Look(moved=False, ready=False, uid="", why="its pod is not there")
        meta, status = pod.metadata, pod.status
        if meta is None or status is None:
            return Look(moved=False, ready=False, uid="", why="its pod says nothing")
        moved = (meta.labels or {}).get(REVISION) == wanted
        ready = meta.deletionTimestamp is None and any(
            each.type == "Ready" and each.status == "True" for each in status.conditions or ()
        )
        return Look(moved, ready, meta.uid or "", _why(status.phase or "", status.containerStatuses or ()))

    def _partition(self, name: str, partition: int) -> None:
        """Tried again while the API server is away: what was begun has to be ended."""
        patch = {"spec": {"updateStrategy": {"rollingUpdate": {"partition": partition}}}}
        deadline = time.monotonic() + min(self._within_s, 60.0)
        while True:
            try:
                with _refused(f"StatefulSet {name}"):
                    self._client.patch(StatefulSet, name, patch)
            except _AwayError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(self._poll_s)
            else:
                return


class _AwayError(DeployError):
    """The API server does not answer, or not yet."""


def _why(phase: str, containers: Sequence[ContainerStatus]) -> str:
    """What of a pod keeps it from being ready, in a few words."""
    for container in containers:
        state = container.state
        if state is not None and state.waiting is not None:
            return f"its container waits: {state.waiting.reason or 'for no reason that is said'}"
        if state is not None and state.terminated is not None:
            return f"its container ended with exit code {state.terminated.exitCode}"
    return "its pod runs and is not ready" if phase == "Running" else f"its pod is {phase or 'not scheduled'}"


@contextmanager
def _refused(what: str) -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        kind = _AwayError if (error.status.code or 0) >= _SERVER else DeployError
        raise kind(f"the cluster refuses {what}: {error.status.message or error}") from error
    except httpx2.HTTPError as error:
        raise _AwayError(f"the cluster does not answer for {what}: {error or type(error).__name__}") from error
