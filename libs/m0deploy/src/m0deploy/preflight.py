"""Whether an upgrade may go on: a running deployment, looked at with the settings that are about to be installed.

Every check writes nothing and answers for itself: a server that is away fails the checks that need it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from m0chain import Programs, accounts, node_client, pda
from m0common.clock import system_clock
from m0common.deployment import Deployment
from m0common.errors import M0Error, SettingsError
from m0common.settings import Settings
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.partition import refuse_other_count
from m0index import migrations, schema
from m0kafka.confluent import ConfluentCluster
from m0kafka.plan import plan
from m0kafka.wanted import Wanted
from m0replay.catalog_log import CatalogLog
from m0replay.unrun import Staying, unrun

from m0deploy.accounts import SIGNER_SET_ID
from m0deploy.clusters import TEST_CLUSTER, refuse_another
from m0deploy.program_registry import Registry


class Check(NamedTuple):
    """`faults` are sentences with their remedies; `evidence` says what was found where there are none."""

    name: str
    faults: tuple[str, ...]
    evidence: str

    @property
    def ok(self) -> bool:
        """Whether the upgrade may go on for all that this check knows."""
        return not self.faults


class Found(NamedTuple):
    """What one look found."""

    faults: list[str]
    evidence: str


@dataclass(frozen=True, slots=True)
class Preflight:
    """What runs behind the upgrade: `installed` releases, in hex, by domain's name, and whatever else stays."""

    settings: Settings
    registry: Registry
    installed: Mapping[str, str]
    staying: Staying

    async def checks(self, without: Collection[str] = ()) -> list[Check]:
        """Every check but those of the names `without`, in the order of CHECKS."""
        return [await _checked(name, look(self)) for name, look in CHECKS.items() if name not in without]

    async def addresses(self) -> Found:
        """The programs of the settings are executable on chain, and the registry has no others."""
        settings = self.settings
        faults = self.registry.differing_settings(settings)
        programs = Programs.of(settings)
        said = {"oracle": programs.oracle, "registry": programs.registry}
        async with node_client(settings.solana) as client:
            for name, key in said.items():
                account, code = await client.accounts([key, pda.program_data(key)])
                if account is None or account.owner != pda.UPGRADEABLE_LOADER or not account.executable or code is None:
                    what = "nothing" if account is None else f"no program, but an account of {account.owner}"
                    faults.append(
                        f"at deployment.{name}_program_id, {key}, is {what} on {settings.solana.cluster}: correct the "
                        f"setting or the node, or deploy it with `m0 programs deploy`"
                    )
        compared = "no registry to compare with"
        if self.registry.path is not None:
            has = "the same" if self.registry.of(settings.solana.cluster) else "no address"
            compared = f"{self.registry.path} has {has} for {settings.solana.cluster}"
        return Found(faults, f"{', '.join(f'{n} {k}' for n, k in said.items())} are executable, {compared}")

    async def genesis(self) -> Found:
        """The node is of the deployment's chain."""
        settings = self.settings
        cluster, wanted = settings.solana.cluster, Deployment.of(settings).genesis_hash.hex()
        async with node_client(settings.solana) as client:
            if cluster != TEST_CLUSTER:
                await refuse_another(client, cluster)
            found = bytes(await client.genesis_hash()).hex()
        if found == wanted:
            return Found([], f"genesis hash {found} of {cluster}")
        fault = (
            f"the node's chain has the genesis hash {found}, and deployment.genesis_hash is {wanted}: name a node of "
            "the deployment's chain by M0_RPC_URL"
        )
        return Found([fault], "")

    async def partitions(self) -> Found:
        """Every topic has the count of the settings."""
        kafka = self.settings.kafka
        wanted = Wanted.of(kafka)
        cluster = await asyncio.to_thread(ConfluentCluster, KafkaOptions.of(kafka, "m0-preflight"))
        found = await asyncio.to_thread(cluster.topics, [topic.name for topic in wanted.topics])
        faults = []
        for topic in wanted.topics:
            if topic.name in found:
                try:
                    refuse_other_count(topic, found[topic.name].partitions, wanted.partitions)
                except SettingsError as error:
                    faults.append(str(error))
        if not found:
            faults.append("there is no topic of ours: name this deployment's brokers by M0_KAFKA_BOOTSTRAP")
        return Found(faults, f"{wanted.partitions} partitions, as {len(found)} topics have")

    async def topics(self) -> Found:
        """Topics, users and rights have all that this version uses; what an older one may use stays."""
        kafka = self.settings.kafka
        wanted = Wanted.of(kafka)
        cluster = await asyncio.to_thread(ConfluentCluster, KafkaOptions.of(kafka, "m0-preflight"))
        due = await asyncio.to_thread(plan, wanted, cluster)
        lacking = due.expanding().sentences()
        faults = [f"Kafka lacks this: {sentence}; `m0 topics apply --expand` does it" for sentence in lacking]
        said = f"{len(wanted.topics)} topics, {len(wanted.users)} users, {len(wanted.rights)} rights"
        left = due.contracting().sentences()
        return Found(faults, f"{said}, and {len(left)} steps left for when no older version runs" if left else said)

    async def signers(self) -> Found:
        """As many signers are installed as the set on chain has: one more would be nobody's, one less may be missed."""
        settings, oracle = self.settings, Programs.of(self.settings).oracle
        async with node_client(settings.solana) as client:
            (account,) = await client.accounts([pda.signer_set(oracle, SIGNER_SET_ID)])
        if account is None:
            return Found([f"signer set {SIGNER_SET_ID} is not on chain: run `m0 bootstrap` first"], "")
        count, told = len(accounts.signer_set(account.data).keys), settings.kafka.signers
        if count == told:
            return Found([], f"signer set {SIGNER_SET_ID} has {count} signers, as many as are installed")
        fault = (
            f"signer set {SIGNER_SET_ID} on chain has {count} signers, and kafka.signers (the chart's signer.replicas) "
            f"is {told}: say {count}; a set cannot be changed yet"
        )
        return Found([fault], "")

    async def schema(self) -> Found:
        """The database is ours, and this version may use or migrate it."""
        head = migrations.head()
        found = await schema.look(self.settings.postgres.dsn)
        if schema.lacking(found, head):
            now = "has no schema" if found.step is None else f"is at schema {found.step}"
            return Found([], f"the database {now}, the indexer of this version migrates it to {head}")
        fault = schema.problem(found, head)
        said = f"the database is at schema {found.step}, this version knows {head}"
        return Found([] if fault is None else [fault], said)

    async def releases(self) -> Found:
        """Every release that the log needs runs behind the upgrade."""
        settings = self.settings
        broker = KafkaBroker(KafkaOptions.of(settings.kafka, "m0-preflight"))
        try:
            log = CatalogLog(broker, Deployment.of(settings), system_clock(settings.env))
            await log.read()
            needed, faults = await unrun(broker, log, self.installed, self.staying)
            if not log.control.catalogs():
                faults.append(
                    f"the log has no catalog that the control key {settings.deployment.control_key} defines: correct "
                    "deployment.control_key and deployment.genesis_hash, or run `m0 bootstrap` first"
                )
        finally:
            await broker.close()
        named = ", ".join(sorted(release[:12] for release in needed)) or "no release"
        return Found(faults, f"the log names {named}; all are installed or stay")


CHECKS: Mapping[str, Callable[[Preflight], Awaitable[Found]]] = {
    "addresses": Preflight.addresses,
    "genesis": Preflight.genesis,
    "partitions": Preflight.partitions,
    "topics": Preflight.topics,
    "signers": Preflight.signers,
    "schema": Preflight.schema,
    "releases": Preflight.releases,
}
"""By name, in the order in which their faults are best remedied."""


async def _checked(name: str, look: Awaitable[Found]) -> Check:
    try:
        found = await look
    except M0Error as error:
        return Check(name, (error.advice,), error.advice)
    return Check(name, tuple(found.faults), "; ".join(found.faults) or found.evidence)
