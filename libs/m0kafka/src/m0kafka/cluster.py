"""What the tools ask and tell a cluster: the port, which `m0kafka.confluent` implements."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from m0common.rights import Right


class FoundTopic(NamedTuple):
    """A topic as it stands: `settings` are those in effect, whoever made them."""

    partitions: int
    replication: int
    settings: Mapping[str, str]


class Cluster(Protocol):
    """A cluster, reached as somebody who may do this. Everything raises Unavailable."""

    def topics(self, names: Sequence[str]) -> dict[str, FoundTopic]:
        """Those of `names` that exist."""
        ...

    def create(self, name: str, partitions: int, replication: int, settings: Mapping[str, str]) -> None:
        """Create a topic and wait until clients see it; one that exists is no error."""
        ...

    def change(self, name: str, settings: Mapping[str, str]) -> None:
        """Set these of a topic's settings and leave the others."""
        ...

    def users(self) -> frozenset[str]:
        """Who has a SCRAM-SHA-512 password."""
        ...

    def set_password(self, user: str, password: str) -> None:
        """Make a user, or give one another password."""
        ...

    def rights(self) -> frozenset[Right]:
        """All that is granted to anybody from everywhere, of the kinds that m0common.rights knows."""
        ...

    def grant(self, rights: Collection[Right]) -> None:
        """Grant; what is granted already is no error."""
        ...

    def revoke(self, rights: Collection[Right]) -> None:
        """Take back; what is not granted is no error."""
        ...
