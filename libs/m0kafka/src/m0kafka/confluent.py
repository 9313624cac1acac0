"""A cluster through confluent-kafka's admin client: it has users, rights and incremental changes of settings."""

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar, cast

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialsDescription,
    UserScramCredentialUpsertion,
)
from m0common.errors import Unavailable
from m0common.rights import Right
from m0common.stream.kafka_admin import open_admin
from m0common.stream.kafka_options import KafkaOptions

from m0kafka.bindings import binding_of, everything, exactly, right_of
from m0kafka.cluster import FoundTopic

T = TypeVar("T")
SCRAM_ITERATIONS = 8192
VISIBLE_S = 60.0
VISIBLE_DELAY_S = 0.1
QUIET = 0
MANNED = {
    ConsumerGroupState.STABLE,
    ConsumerGroupState.PREPARING_REBALANCING,
    ConsumerGroupState.COMPLETING_REBALANCING,
}
"""States of a consumer group that has members."""
REFUSED = (KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED)


class Exists(Unavailable):
    """A topic that somebody else has created meanwhile."""


class Fenced(Unavailable):
    """No broker takes part: one that has just started, or stood still for a while, registers in a moment."""


class ConfluentCluster:
    """See m0kafka.cluster.Cluster."""

    def __init__(self, options: KafkaOptions) -> None:
        """Raises Unavailable when no broker answers or this user is refused, SettingsError."""
        asyncio.run(_reached(options))  # the reason of a refusal is in librdkafka's logs alone
        self._who = options.security.username or "an anonymous client"
        self._timeout_s = options.request_timeout_ms / 1000
        self._admin = AdminClient({**options.for_librdkafka(), "log_level": QUIET})

    def topics(self, names: Sequence[str]) -> dict[str, FoundTopic]:
        """See Cluster."""
        metadata = self._metadata()
        there = [name for name in names if name in metadata]
        if not there:
            return {}
        answers = self._admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in there])
        settings = {
            resource.name: {key: entry.value for key, entry in self._result("describe settings", answer).items()}
            for resource, answer in answers.items()
        }
        return {
            name: FoundTopic(
                len(metadata[name].partitions),
                min(len(partition.replicas) for partition in metadata[name].partitions.values()),
                settings[name],
            )
            for name in there
        }

    def create(self, name: str, partitions: int, replication: int, settings: Mapping[str, str]) -> None:
        """See Cluster."""
        new = NewTopic(name, num_partitions=partitions, replication_factor=replication, config=dict(settings))
        deadline = time.monotonic() + VISIBLE_S
        while True:
            try:
                with contextlib.suppress(Exists):
                    self._all(f"create topic {name}", self._admin.create_topics([new]).values())
                break
            except Fenced:
                if time.monotonic() > deadline:
                    raise
                time.sleep(VISIBLE_DELAY_S)
        # the controller creates topics; the brokers hear of it a moment later
        while name not in self._metadata():
            if time.monotonic() > deadline:
                raise Unavailable(f"create topic {name}: the brokers do not show it after {VISIBLE_S:.0f} s")
            time.sleep(VISIBLE_DELAY_S)

    def change(self, name: str, settings: Mapping[str, str]) -> None:
        """See Cluster."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        self._all(f"change topic {name}", self._admin.incremental_alter_configs([resource]).values())

    def users(self) -> frozenset[str]:
        """See Cluster."""
        asked = cast(
            "Future[dict[str, UserScramCredentialsDescription]]", self._admin.describe_user_scram_credentials()
        )
        found = self._result("list users", asked)
        return frozenset(
            name
            for name, user in found.items()
            if any(known.mechanism == ScramMechanism.SCRAM_SHA_512 for known in user.scram_credential_infos)
        )

    def set_password(self, user: str, password: str) -> None:
        """See Cluster."""
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS)
        wanted = UserScramCredentialUpsertion(user, how, password.encode())
        self._all(f"set the password of {user}", self._admin.alter_user_scram_credentials([wanted]).values())

    def rights(self) -> frozenset[Right]:
        """See Cluster."""
        bindings = self._result("list rights", self._admin.describe_acls(everything()))
        return frozenset(right for binding in bindings if (right := right_of(binding)) is not None)

    def grant(self, rights: Collection[Right]) -> None:
        """See Cluster."""
        self._all("grant rights", self._admin.create_acls([binding_of(right) for right in rights]).values())

    def revoke(self, rights: Collection[Right]) -> None:
        """See Cluster."""
        self._all("revoke rights", self._admin.delete_acls([exactly(right) for right in rights]).values())

    def manned_groups(self) -> frozenset[str]:
        """The consumer groups that have members, of those that this user may see. Raises Unavailable."""
        found = self._result("list consumer groups", self._admin.list_consumer_groups(states=MANNED))
        return frozenset(group.group_id for group in found.valid)

    def _metadata(self) -> Mapping[str, Any]:  # the library's own type is not in its stubs
        try:
            return self._admin.list_topics(timeout=self._timeout_s).topics
        except KafkaException as error:
            raise self._unavailable("list topics", error) from error

    def _all(self, what: str, answers: Iterable["Future[Any]"]) -> None:
        for answer in answers:
            self._result(what, answer)

    def _result(self, what: str, answer: "Future[T]") -> T:
        try:
            return answer.result(self._timeout_s)
        except KafkaException as error:
            raise self._unavailable(what, error) from error
        except TimeoutError as error:
            raise Unavailable(f"{what}: Kafka did not answer within {self._timeout_s:.0f} s") from error

    def _unavailable(self, what: str, error: KafkaException) -> Unavailable:
        reason: KafkaError = error.args[0]
        if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return Exists(f"{what}: {reason.str()}")
        if reason.code() == KafkaError.INVALID_REPLICATION_FACTOR and "fenced" in reason.str():
            return Fenced(f"{what}: {reason.str().rstrip('.')}: see the brokers' logs, then run this again")
        if reason.code() in REFUSED:  # what the broker says besides is a dump of the request
            return Unavailable(f"{what}: Kafka refuses {self._who}: run this as an administrator of the cluster")
        return Unavailable(f"{what}: {reason.str()}")


async def _reached(options: KafkaOptions) -> None:
    async with open_admin(options):
        pass
