"""Topics, users and rights, as `m0 topics apply` makes them."""

import asyncio

from m0common.settings import Settings
from m0common.stream.kafka_options import KafkaOptions
from m0kafka.apply import apply
from m0kafka.confluent import ConfluentCluster
from m0kafka.passwords import ensure_passwords
from m0kafka.plan import Plan, plan
from m0kafka.wanted import Wanted

from m0deploy.changes import Changes
from m0deploy.site import Site


async def provision(site: Site, settings: Settings, changes: Changes) -> None:
    """Raises SettingsError or Unavailable."""
    await asyncio.to_thread(_provision, site, settings, changes)


def _provision(site: Site, settings: Settings, changes: Changes) -> None:
    wanted, cluster = Wanted.of(settings.kafka), ConfluentCluster(KafkaOptions.of(settings.kafka, "m0-provision"))
    due = plan(wanted, cluster)
    found, left = (due.expanding(), due.contracting()) if site.expands else (due, Plan())
    for sentence in found.sentences():
        changes.note(sentence)
    for sentence in left.sentences():
        changes.leave(f"{sentence}: `m0 topics apply` does it, once no older version runs")
    if changes.applies:
        users = wanted.users if site.makes_users else ()
        apply(cluster, found, ensure_passwords(site.kafka_passwords, users), lambda _: None)
