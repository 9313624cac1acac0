"""Who may do what in Kafka: the rights of every principal, derived from the topic catalogue.

A principal reads and writes the topics that the catalogue names it for, and has the consumer groups and
the transactional ids of its own name. Nobody in this table may create a topic, or change a topic's or the cluster's
settings: `m0 topics apply` does, as an administrator of the cluster.
"""

from typing import Literal, NamedTuple

from m0common.topics import MANIFESTS, STATE, TOPICS, Topic

Resource = Literal["topic", "group", "transactional_id", "cluster"]
Operation = Literal["READ", "WRITE", "DELETE", "DESCRIBE", "DESCRIBE_CONFIGS"]

SERVICES = ("ingest", "normalize", "feature", "model", "bundle", "indexer", "api", "realtime", "jobs")
OPERATOR = "operator"
"""Whoever runs `m0 catalog`, `m0 lane`, `m0 replay` and looks at topics."""
ADMINISTRATOR = "admin"
"""Who makes topics, users and rights: an administrator of the cluster, whom nothing in this table concerns."""
TRANSACTIONAL_ID_PREFIX = "m0-ingest-"
"""Begins the transactional ids of ingest's connectors."""
CLUSTER = "kafka-cluster"
"""The name that Kafka gives the one resource of the kind `cluster`."""

_OPERATORS_COMMANDS = ("m0 catalog", "m0 lane", "replay", OPERATOR)


class Right(NamedTuple):
    """`principal` may do `operation` to the resource `name`, or to all whose names begin with it (`prefixed`)."""

    principal: str
    resource: Resource
    name: str
    operation: Operation
    prefixed: bool = False

    def __str__(self) -> str:
        return f"{self.principal}: {self.operation} {self.resource} {self.name}{'*' if self.prefixed else ''}"


def principals(signers: int) -> tuple[str, ...]:
    """Every principal of a deployment with so many signers."""
    return (*SERVICES, *(f"signer-{number}" for number in range(1, signers + 1)), OPERATOR)


def is_ours(principal: str) -> bool:
    """Whether this table decides all that `principal` may do; a signer that is no longer there may do nothing."""
    head, _, number = principal.rpartition("-")
    return principal in (*SERVICES, OPERATOR) or (head == "signer" and number.isdecimal())


def rights(signers: int) -> frozenset[Right]:
    """All that the principals of a deployment may do."""
    everybody = principals(signers)
    found = {right for topic in TOPICS for right in _of_topic(topic, everybody)}
    found |= {Right(name, "group", f"m0-{name}", "READ", prefixed=True) for name in SERVICES}
    # each of its connectors writes under a name of its own, which shuts its predecessor out
    found.add(Right("ingest", "transactional_id", TRANSACTIONAL_ID_PREFIX, "WRITE", prefixed=True))
    # the prefix of lane state is deleted when no checkpoint needs it any more
    found |= {Right("jobs", "topic", topic.name, "DELETE") for topic in (*STATE.values(), MANIFESTS)}
    found |= {
        Right(OPERATOR, "topic", "m0.", "READ", prefixed=True),
        Right(OPERATOR, "topic", "m0.", "DESCRIBE_CONFIGS", prefixed=True),
        Right(OPERATOR, "group", "m0-", "DESCRIBE", prefixed=True),
        Right(OPERATOR, "group", f"{OPERATOR}-", "READ", prefixed=True),
        # `m0 topics check` shows users and rights
        Right(OPERATOR, "cluster", CLUSTER, "DESCRIBE"),
    }
    return frozenset(found)


def _of_topic(topic: Topic, everybody: tuple[str, ...]) -> set[Right]:
    readers = {who for role in topic.consumers for who in _named(role, everybody)} - {OPERATOR}
    writers = {who for role in topic.producers for who in _named(role, everybody)}
    return {Right(who, "topic", topic.name, "READ") for who in readers} | {
        Right(who, "topic", topic.name, "WRITE") for who in writers
    }


def _named(role: str, everybody: tuple[str, ...]) -> tuple[str, ...]:
    """The principals of a producer or consumer in the catalogue; none for one that does not exist yet."""
    if role == "any":
        return everybody
    if role == "signer":
        return tuple(name for name in everybody if name.startswith("signer-"))
    if role in _OPERATORS_COMMANDS:
        return (OPERATOR,)
    return (role,) if role in everybody else ()
