"""Define every catalog of the settings in the log, as `m0 catalog set` does, without waiting for the epoch clock.

In dev, lanes whose release is not installed any more go on with the code that is, as `m0 lane rebase` does.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from m0common import settings as service_settings
from m0common.clock import system_clock
from m0common.deployment import Deployment
from m0common.rights import OPERATOR
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0lanes.domains import load_domains
from m0lanes.port import Domain
from m0lanes.release import releases
from m0replay.catalog_changes import next_set
from m0replay.catalog_desk import CatalogDesk
from m0replay.going_on import goes_on
from m0replay.installed import installed_domains
from m0replay.rebasing import write_rebases

from m0local import deployment
from m0local.control_keys import ControlKeys
from m0local.environment import common_environment
from m0local.kafka_users import credentials
from m0local.provision import Say
from m0local.settings import StackSettings


def provision(settings: StackSettings, say: Say) -> None:
    """Raises m0common's SettingsError or Unavailable."""
    told = {
        **deployment.environment(settings.deployment_file),
        **os.environ,
        **common_environment(settings, os.environ),
        **credentials(settings, OPERATOR),
    }
    asyncio.run(_provision(settings, service_settings.load(told), say))


async def _provision(settings: StackSettings, config: service_settings.Settings, say: Say) -> None:
    broker = KafkaBroker(KafkaOptions.of(config.kafka, "m0-provision"))
    identity, clock = Deployment.of(config), system_clock(config.env)
    desk = CatalogDesk(broker, identity, settings.config_dir, Path(config.keys_dir), installed_domains(), clock)
    keys = ControlKeys(settings.control_keys)
    try:
        if config.auto_release:
            await go_on(desk, config.catalogs, releases(load_domains()), keys, say)
        await define(desk, config.catalogs, keys, config.auto_release, say)
    finally:
        await broker.close()


async def go_on(
    desk: CatalogDesk, names: Iterable[str], installed: Mapping[bytes, Domain], keys: ControlKeys, say: Say
) -> None:
    """Begin new lives for lanes that nobody runs any more, and say of each catalog from where it goes on."""
    await desk.log.read()
    for name in names:
        found = await goes_on(desk.broker, desk.log, name, installed, desk.composed(name).domain.name)
        if found is None:
            continue
        key = desk.log.key(name, keys.of(name, desk.log.signer(desk.log.standing(name).in_force)))
        await write_rebases(desk.broker, key, found.plans, desk.clock)
        say(found.line)


async def define(desk: CatalogDesk, names: Iterable[str], keys: ControlKeys, auto_release: bool, say: Say) -> None:
    """Write a new generation of each catalog that is not as the files have it, and say why in one line."""
    for name in names:
        await desk.log.read()
        newest = desk.log.standing(name).newest
        decided = next_set(newest, desk.composed(name), desk.releases, auto_release)
        if decided.payload is not None:
            key = keys.of(name, desk.log.signer(decided.payload))
            await desk.put(decided.payload, key, () if newest is None else (newest.release,))
            say(decided.why)
