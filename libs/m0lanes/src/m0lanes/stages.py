"""The cores of the lane stages, as the services run them."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

from m0common.deployment import Deployment
from m0common.stream.core import StageCore

from m0lanes.applied import ENTITIES_MAX
from m0lanes.bundle import BundleCore
from m0lanes.domains import load_domains
from m0lanes.feature import FeatureCore
from m0lanes.holding import HELD_MAX_BYTES
from m0lanes.model import ModelCore
from m0lanes.normalize import NormalizeCore
from m0lanes.port import Domain
from m0lanes.release import build_of, releases


@dataclass(frozen=True)
class Heart:
    """What a process runs lanes with: the deployment, the domains by release, and the build that they make."""

    deployment: Deployment
    domains: Mapping[bytes, Domain]
    build: bytes
    held_bytes: int = HELD_MAX_BYTES
    """Of events that wait for a later window a lane of stage 1 has so many at hand; the others are read again."""
    entities_max: int = ENTITIES_MAX
    """So much a domain remembers in a lane of stage 1. It decides leaves: all who run one log have the same."""

    @classmethod
    def installed(cls, deployment: Deployment) -> "Heart":
        """With every domain that is installed."""
        found = load_domains()
        return cls(deployment, releases(found), build_of(found))

    def normalize(self, only: frozenset[str] | None = None) -> NormalizeCore:
        """m0.raw to m0.normalized; `only` restricts it to some catalogs."""
        return NormalizeCore(self.deployment, self.domains, self.build, only, self.held_bytes, self.entities_max)

    def feature(self) -> FeatureCore:
        """m0.normalized to m0.features."""
        return FeatureCore(self.deployment, self.domains, self.build)

    def model(self) -> ModelCore:
        """m0.features to m0.predictions."""
        return ModelCore(self.deployment, self.domains, self.build)

    def bundle(self, ahead_max: int | None = None, releases: Container[bytes] | None = None) -> BundleCore:
        """m0.predictions to m0.headers and m0.bundles; without a limit for pipelines, which hold all lanes anyway.

        `releases` are those whose lanes it follows, else those that are installed.
        """
        return BundleCore(self.deployment, self.domains if releases is None else releases, self.build, ahead_max)

    def pipeline(self, only: frozenset[str] | None = None) -> list[StageCore]:
        """The four stages in order, for one that cannot rewind: whatever its lanes hold back is at hand."""
        first = NormalizeCore(self.deployment, self.domains, self.build, only, None, self.entities_max)
        return [first, self.feature(), self.model(), self.bundle()]
