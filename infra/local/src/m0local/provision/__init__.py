"""From empty servers to a deployment: migrations, topics, programs, registry and signers on chain, catalogs in the log.

Every step may run again at any time and changes nothing that is as it should be.
"""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from m0local.settings import StackSettings

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `module.provision(settings, say)` once the servers it `needs` are ready."""

    title: str
    needs: frozenset[str]
    module: str


STEPS: tuple[Step, ...] = (
    Step("Migrate the database", frozenset({"postgres"}), "m0local.provision.database"),
    Step("Create the topics, users and rights", frozenset({"kafka"}), "m0local.provision.topics"),
    Step("Deploy the programs, markets and signers", frozenset({"localnet"}), "m0local.provision.chain"),
    Step("Define the catalogs", frozenset({"kafka", "localnet"}), "m0local.provision.catalogs"),
)


def provision(settings: StackSettings, servers: Iterable[str], step: Say, say: Say) -> None:
    """Run every step whose servers are among `servers` (external ones count).

    Raises what a step raises; `step` hears the title of each as it begins, `say` what a step has to say.
    """
    available = {*servers, *settings.external}
    for each in STEPS:
        if each.needs <= available:
            step(each.title)
            importlib.import_module(each.module).provision(settings, say)
