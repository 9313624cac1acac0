"""From empty servers to a deployment: migrations, topics, then programs, registry and signers on chain.

Every step may run again at any time and changes nothing that is as it should be.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from m0local.settings import StackSettings

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `module.provision(settings)` once the server `needs` is ready."""

    title: str
    needs: str
    module: str


STEPS: tuple[Step, ...] = (
    Step("Migrate the database", "postgres", "m0local.provision.database"),
    Step("Create the topics", "kafka", "m0local.provision.topics"),
    Step("Deploy the programs, markets and signers", "localnet", "m0local.provision.chain"),
)


def provision(settings: StackSettings, servers: Iterable[str], say: Say) -> None:
    """Run every step whose server is among `servers` (external ones count).

    Raises what a step raises; `say` hears the title of each step as it begins.
    """
    available = {*servers, *settings.external}
    for step in STEPS:
        if step.needs in available and importlib.util.find_spec(step.module):
            say(step.title)
            importlib.import_module(step.module).provision(settings)
