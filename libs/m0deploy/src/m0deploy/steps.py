"""The steps from empty servers to a deployment, in their order."""

import importlib
from collections.abc import Callable, Collection
from typing import NamedTuple

from m0common.errors import SettingsError
from m0common.rights import ADMINISTRATOR, OPERATOR
from m0common.settings import Settings

from m0deploy.changes import Changes
from m0deploy.site import Site

KAFKA, DATABASE, CHAIN = SERVERS = ("kafka", "postgres", "chain")

SettingsOf = Callable[[str], Settings]
"""The settings of a process that logs in to Kafka as this user. Asked before each step: a step may change them."""


class Step(NamedTuple):
    """`provision(site, settings, changes)` of `module`, as `user`, once the servers it `needs` are ready."""

    name: str
    title: str
    needs: frozenset[str]
    user: str

    @property
    def module(self) -> str:
        """Of this package."""
        return f"m0deploy.{self.name}"


STEPS: tuple[Step, ...] = (
    Step("database", "Migrate the database", frozenset({DATABASE}), OPERATOR),
    Step("topics", "Create the topics, users and rights", frozenset({KAFKA}), ADMINISTRATOR),
    Step("chain", "Deploy the programs, markets and signers", frozenset({CHAIN}), OPERATOR),
    Step("catalogs", "Define the catalogs", frozenset({KAFKA, CHAIN}), OPERATOR),
)


async def take(
    site: Site,
    settings_of: SettingsOf,
    begin: Callable[[Step], Changes],
    servers: Collection[str] = SERVERS,
    only: Collection[str] | None = None,
) -> None:
    """Take every step whose servers are among `servers`, or those of them that `only` names; `begin` hears of it and
    says what its changes do.

    Raises what a step raises, and SettingsError for a step that does not exist. Where changes are only said, a step is
    looked at when those that it builds on would change nothing.
    """
    if unknown := [name for name in only or () if name not in {step.name for step in STEPS}]:
        raise SettingsError(f"step {unknown[0]!r} does not exist: name {', '.join(step.name for step in STEPS)}")
    changed: set[str] = set()
    for step in STEPS:
        if not step.needs <= set(servers) or (only and step.name not in only):
            continue
        changes = begin(step)
        before = len(changes.said)
        if not changes.applies and len(step.needs) > 1 and changed & step.needs:
            changes.note(f"{step.title[0].lower()}{step.title[1:]}, once the steps before are taken")
        else:
            module = importlib.import_module(step.module)  # not before: each needs another half of the libraries
            await module.provision(site, settings_of(step.user), changes)
        if len(changes.said) > before:
            changed |= step.needs
