"""What differs between what is wanted and what is, as steps; nothing here talks to anybody."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from m0common.errors import SettingsError
from m0common.rights import Right, is_ours
from m0common.stream.partition import refuse_other_count

from m0kafka.cluster import Cluster, FoundTopic
from m0kafka.wanted import Wanted

POLICY = "cleanup.policy"
LIMITS = ("retention.ms", "max.message.bytes")
"""Settings of topics of which more takes nothing from anybody; -1 is no limit."""


@dataclass(frozen=True, slots=True)
class Create:
    """A topic that is missing."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]

    def __str__(self) -> str:
        return f"create topic {self.name}: {self.partitions} partitions, replication {self.replication}, " + ", ".join(
            f"{key} = {value}" for key, value in sorted(self.settings.items())
        )


@dataclass(frozen=True, slots=True)
class Change:
    """Settings of a topic that differ; `before` has the same keys where the topic had them."""

    name: str
    settings: Mapping[str, str]
    before: Mapping[str, str]

    def __str__(self) -> str:
        return f"change topic {self.name}: " + ", ".join(
            f"{key} = {value} (was {self.before.get(key, 'not set')})" for key, value in sorted(self.settings.items())
        )

    def of(self, wanted: Callable[[str], bool]) -> "Change":
        """The same of the settings that are `wanted` by name, which may be none."""
        return replace(self, settings={key: value for key, value in self.settings.items() if wanted(key)})

    def narrows(self, key: str) -> bool:
        """Whether who runs with the setting as it is may lose by this change: messages, or that its own are taken."""
        before, after = self.before.get(key), self.settings[key]
        if key in LIMITS and before is not None:
            return _limit(after) < _limit(before)
        return key in (*LIMITS, POLICY)

    def widens(self, key: str) -> bool:
        """Whether nobody can lose anything by this change."""
        return not self.narrows(key)


@dataclass(frozen=True, slots=True)
class Plan:
    """In the order in which it is done: topics, users, rights."""

    create: tuple[Create, ...] = ()
    change: tuple[Change, ...] = ()
    add_users: tuple[str, ...] = ()
    grant: tuple[Right, ...] = ()
    revoke: tuple[Right, ...] = field(default=())

    def sentences(self) -> list[str]:
        """Each step in a line; none when everything is as it should be."""
        return [
            *map(str, self.create),
            *map(str, self.change),
            *(f"add user {name}" for name in self.add_users),
            *(f"grant {right}" for right in self.grant),
            *(f"revoke {right}" for right in self.revoke),
        ]

    def expanding(self) -> "Plan":
        """What of it takes nothing from whoever works with the cluster as it is, so that two versions of the services
        can work side by side behind it.
        """
        changes = (change.of(change.widens) for change in self.change)
        return replace(self, change=tuple(each for each in changes if each.settings), revoke=())

    def contracting(self) -> "Plan":
        """The rest: what only an older version may need, to be done when none runs any more."""
        changes = (change.of(change.narrows) for change in self.change)
        return Plan(change=tuple(each for each in changes if each.settings), revoke=self.revoke)


def plan(wanted: Wanted, cluster: Cluster) -> Plan:
    """Look at the cluster and compare. Raises SettingsError for what no step can bring about, Unavailable."""
    found = cluster.topics([topic.name for topic in wanted.topics])
    users = cluster.users() if wanted.users else frozenset()
    granted = cluster.rights() if wanted.secured else frozenset()
    create, change = _topics(wanted, found)
    return Plan(
        create,
        change,
        tuple(name for name in wanted.users if name not in users),
        tuple(sorted(wanted.rights - granted)),
        tuple(sorted(right for right in granted - wanted.rights if is_ours(right.principal))),
    )


def _topics(wanted: Wanted, found: Mapping[str, FoundTopic]) -> tuple[tuple[Create, ...], tuple[Change, ...]]:
    create: list[Create] = []
    change: list[Change] = []
    for topic in wanted.topics:
        settings = wanted.settings(topic)
        there = found.get(topic.name)
        if there is None:
            create.append(Create(topic.name, topic.partitions(wanted.partitions), wanted.replication, settings))
            continue
        refuse_other_count(topic, there.partitions, wanted.partitions)
        if there.replication < wanted.replication:
            raise SettingsError(
                f"topic {topic.name} has {there.replication} replicas and kafka.replication = {wanted.replication}: "
                "give it more with kafka-reassign-partitions, or set kafka.replication to what it has"
            )
        other = {key: value for key, value in settings.items() if there.settings.get(key) != value}
        if other:
            change.append(
                Change(topic.name, other, {key: there.settings[key] for key in other if key in there.settings})
            )
    return tuple(create), tuple(change)


def _limit(value: str) -> float:
    return float("inf") if value == "-1" else int(value)
