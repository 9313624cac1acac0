"""Which lanes a generation has, and what a catalog_set comes to."""

from dataclasses import dataclass, field
from functools import lru_cache

from m0common.canonical import set_hash
from m0common.stream.partition import partition_for

from m0lanes.control import CatalogSetPayload, SourceRule

GROUPS_AT_HAND = 65_536
"""So many groups' partitions are kept at hand: whoever may write can name others for ever."""
SIGNER_SET_ID = "signer_set_id"
"""The parameter that names the signer set of headers."""


@lru_cache(GROUPS_AT_HAND)
def partition_of(group: str, partitions: int) -> int:
    """The partition a group lives in, for ever: what any Kafka client's default partitioner gives."""
    return partition_for(group.encode(), partitions)


def lanes_of(payload: CatalogSetPayload) -> tuple[int, ...]:
    """The partitions that a generation has lanes in, ascending; none when it is retired."""
    if payload.retired:
        return ()
    return tuple(sorted({partition_of(group, payload.partitions) for group in payload.groups}))


@dataclass(frozen=True)
class Generation:
    """A catalog_set as the heart works with it."""

    payload: CatalogSetPayload
    hash: bytes
    release: bytes = field(init=False)
    lanes: tuple[int, ...] = field(init=False)
    groups: frozenset[str] = field(init=False)
    params: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "release", bytes.fromhex(self.payload.release))
        object.__setattr__(self, "lanes", lanes_of(self.payload))
        object.__setattr__(self, "groups", frozenset(self.payload.groups))
        object.__setattr__(self, "params", dict(sorted(self.payload.params.items())))

    @classmethod
    def of(cls, payload: CatalogSetPayload, raw: bytes) -> "Generation":
        """The generation in a payload as sent."""
        return cls(payload, set_hash(raw))

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return self.payload.generation

    def key_of(self, source: str, kind: str) -> bytes | None:
        """The key of a source that may say this kind, None when there is none."""
        rule = self.payload.sources.get(source)
        return bytes.fromhex(rule.key) if rule is not None and rule.key is not None and kind in rule.kinds else None

    def rule(self, source: str) -> SourceRule | None:
        """What a source may say."""
        return self.payload.sources.get(source)
