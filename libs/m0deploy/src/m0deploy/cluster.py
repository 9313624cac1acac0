"""A deployment's keys and record in a namespace of Kubernetes: taken from there, made where missing, put back.

It is the cluster whose service account this process has, else the one that KUBECONFIG names.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self, TypeVar

import httpx2
from lightkube import Client
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Secret
from m0chain.keyfile import write_new
from m0common.errors import SettingsError
from m0common.rights import OPERATOR

from m0deploy import keys
from m0deploy.changes import Changes
from m0deploy.errors import DeployError
from m0deploy.shares import contents, shares
from m0deploy.site import Site

RECORD = "deployment.json"
"""The key of the ConfigMap that holds the deployment's record."""
_NOT_FOUND = 404
_Kept = TypeVar("_Kept", Secret, ConfigMap)


class Cluster:
    """One namespace. Every method raises DeployError for what the cluster refuses, or when it says nothing."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @classmethod
    def reached(cls, namespace: str | None) -> Self:
        """Raises SettingsError where no cluster is named."""
        try:
            return cls(Client(namespace=namespace, field_manager="m0"))
        except Exception as error:  # of a file that is no KUBECONFIG the library raises what it meets
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise SettingsError(
                f"no cluster of Kubernetes is named ({why}): set KUBECONFIG, or run this in a pod that has a token"
            ) from error

    def secret(self, name: str) -> dict[str, bytes] | None:
        """What a Secret holds; None where there is none."""
        with _refused(f"Secret {name}"):
            found = self._found(Secret, name)
            if found is None:
                return None
            return {key: base64.b64decode(value) for key, value in (found.data or {}).items()}

    def add(self, name: str, content: Mapping[str, str]) -> list[str]:
        """Put into a Secret what it has not; returns those keys."""
        there = self.secret(name)
        missing = {key: value for key, value in content.items() if key not in (there or {})}
        with _refused(f"Secret {name}"):
            if there is None:
                self.client.create(Secret(metadata=ObjectMeta(name=name), type="Opaque", stringData=dict(content)))
            elif missing:
                self.client.patch(Secret, name, {"stringData": missing})
        return list(missing)

    async def record(self, site: Site, name: str, changes: Changes) -> None:
        """Keep the deployment's record in the ConfigMap of this name."""
        text = site.record.read_text("utf-8")
        with _refused(f"ConfigMap {name}"):
            there = self._found(ConfigMap, name)
        if there is not None and (there.data or {}).get(RECORD) == text:
            return

        async def put() -> None:
            with _refused(f"ConfigMap {name}"):
                if there is None:
                    self.client.create(ConfigMap(metadata=ObjectMeta(name=name), data={RECORD: text}))
                else:
                    self.client.patch(ConfigMap, name, {"data": {RECORD: text}})

        await changes.make(f"write the record of the deployment to ConfigMap {name}", put)

    def _found(self, kind: type[_Kept], name: str) -> _Kept | None:
        try:
            return self.client.get(kind, name)
        except ApiError as error:
            if error.status.code == _NOT_FOUND:
                return None
            raise


def init(cluster: Cluster, site: Site, signers: int, prefix: str) -> list[str]:
    """Make every key and password that the namespace's Secrets lack; returns what was made, as Secret/key.

    The site is a folder that holds nothing yet: it is where they are made. What an older version kept in the operator's
    Secret is taken from there. Raises SettingsError or DeployError.
    """
    once = f"{prefix}-{OPERATOR}"
    there = {once: cluster.secret(once) or {}}
    for share in shares(site, signers, prefix):
        if share.secret not in there:
            there[share.secret] = cluster.secret(share.secret) or {}
        found = there[share.secret].get(share.key, there[once].get(share.key))
        if found is not None and not share.file.exists():
            share.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_new(share.file, found)
    keys.init(site, signers)
    return [
        f"{name}/{key}"
        for name, content in contents(site, signers, prefix).items()
        for key in cluster.add(name, content)
    ]


@contextmanager
def _refused(what: str) -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        raise DeployError(f"the cluster refuses {what}: {error.status.message or error}") from error
    except httpx2.HTTPError as error:
        raise DeployError(f"the cluster does not answer for {what}: {error or type(error).__name__}") from error
    except binascii.Error as error:
        raise DeployError(f"{what} is not in base64: {error}: write it anew") from error
