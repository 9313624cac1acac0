"""From empty servers to a deployment, with the keys and addresses of this stack: what `m0 bootstrap` does elsewhere."""

import asyncio
import os
from collections.abc import Iterable
from functools import partial

from m0common import settings as service_settings
from m0deploy import keys
from m0deploy.changes import Changes, Say
from m0deploy.site import Site
from m0deploy.steps import CHAIN, Step, take

from m0local.environment import common_environment
from m0local.kafka_users import credentials
from m0local.settings import StackSettings

SERVERS = {"kafka": "kafka", "postgres": "postgres", "localnet": CHAIN}
"""What a server of the stack is to the steps."""
WORTH_A_LINE = "m0deploy.catalogs"
"""What the other steps change goes without saying at a start."""


def site(settings: StackSettings) -> Site:
    """Where the keys and files of this stack lie."""
    return Site(
        keys=settings.keys,
        control=settings.control_keys,
        record=settings.deployment_file,
        programs=settings.root / "programs" / "deploy",
        makes_users="kafka" not in settings.external,
        registry=settings.root / "programs" / "registry.toml",
    )


def provision(settings: StackSettings, servers: Iterable[str], step: Say, say: Say) -> None:
    """Take every step whose servers are among `servers` (external ones count).

    Raises what a step raises; `step` hears the title of each as it begins, `say` what is changed by it.
    """
    there = {SERVERS[name] for name in {*servers, *settings.external} & SERVERS.keys()}
    if not there:
        return
    place, settings_of = site(settings), partial(_settings, settings)
    keys.ensure(place, settings_of("").kafka.signers)
    changes, said = Changes(lambda _: None, apply=True), Changes(say, apply=True)

    def begin(each: Step) -> Changes:
        step(each.title)
        return said if each.module == WORTH_A_LINE else changes

    asyncio.run(take(place, settings_of, begin, there))


def _settings(settings: StackSettings, user: str) -> service_settings.Settings:
    told = os.environ | common_environment(settings, os.environ) | (credentials(settings, user) if user else {})
    return service_settings.load(told)
