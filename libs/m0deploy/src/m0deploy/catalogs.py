"""Define every catalog of the settings in the log, as `m0 catalog set` does, without waiting for the epoch clock.

In dev, lanes whose release is not installed any more go on with the code that is, as `m0 lane rebase` does.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from m0common.clock import system_clock
from m0common.deployment import Deployment
from m0common.settings import Settings
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0lanes.domains import load_domains
from m0lanes.port import Domain
from m0lanes.release import releases
from m0replay.catalog_changes import next_set
from m0replay.catalog_desk import CatalogDesk
from m0replay.control_keys import ControlKeys
from m0replay.going_on import goes_on
from m0replay.installed import installed_domains
from m0replay.rebasing import write_rebases

from m0deploy.changes import Changes
from m0deploy.site import Site


async def provision(site: Site, settings: Settings, changes: Changes) -> None:
    """Raises SettingsError or Unavailable."""
    broker = KafkaBroker(KafkaOptions.of(settings.kafka, "m0-provision"))
    identity, clock = Deployment.of(settings), system_clock(settings.env)
    files = Path(settings.catalogs_dir)
    desk = CatalogDesk(broker, identity, files, Path(settings.keys_dir), installed_domains(), clock)
    keys = ControlKeys(site.control)
    try:
        if settings.auto_release:
            await go_on(desk, settings.catalogs, releases(load_domains()), keys, changes)
        await define(desk, settings.catalogs, keys, settings.auto_release, changes)
    finally:
        await broker.close()


async def go_on(
    desk: CatalogDesk, names: Iterable[str], installed: Mapping[bytes, Domain], keys: ControlKeys, changes: Changes
) -> None:
    """Begin new lives for lanes that nobody runs any more, and say of each catalog from where it goes on."""
    await desk.log.read()
    for name in names:
        found = await goes_on(desk.broker, desk.log, name, installed, desk.composed(name).domain.name)
        if found is None:
            continue
        key = desk.log.key(name, keys.of(name, desk.log.signer(desk.log.standing(name).in_force)))
        await changes.make(found.line, partial(write_rebases, desk.broker, key, found.plans, desk.clock))


async def define(
    desk: CatalogDesk, names: Iterable[str], keys: ControlKeys, auto_release: bool, changes: Changes
) -> None:
    """Write a new generation of each catalog that is not as the files have it, and say why in one line."""
    for name in names:
        await desk.log.read()
        newest = desk.log.standing(name).newest
        decided = next_set(newest, desk.composed(name), desk.releases, auto_release)
        if decided.payload is not None:
            key = keys.of(name, desk.log.signer(decided.payload))
            known = () if newest is None else (newest.release,)
            await changes.make(decided.why, partial(desk.put, decided.payload, key, known))
