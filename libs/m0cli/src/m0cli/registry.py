"""The table of sub-commands: those of this package and those that other installed packages add.

A package adds its own by an entry point of the group `m0.commands` that names a mapping like OWN. The module with that
mapping is imported to list the commands, those that do the work only to run one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

GROUP = "m0.commands"


@dataclass(frozen=True, slots=True)
class Command:
    """Where a sub-command lives: `app` of `module` has a command `name` or is itself the command."""

    module: str
    help: str
    panel: str


class RegistryError(Exception):
    """The installed packages do not agree on the commands; the message names them and the remedy."""


DEPLOYMENT = "The deployment"
KAFKA = "Kafka"
USE = "Predictions and proofs"

OWN: dict[str, Command] = {
    "config": Command("m0cli.config", "Every setting with its value and where it comes from.", DEPLOYMENT),
    "keys": Command("m0cli.keys", "Keys and passwords of a new deployment.", DEPLOYMENT),
    "bootstrap": Command("m0cli.bootstrap", "From empty servers to a deployment.", DEPLOYMENT),
    "programs": Command("m0cli.programs", "The Solana programs: build, verify, deploy, upgrade.", DEPLOYMENT),
    "preflight": Command("m0cli.preflight", "Whether an upgrade may go on.", DEPLOYMENT),
    "signers": Command("m0cli.signers", "Signers on Kubernetes: on to a new version.", DEPLOYMENT),
    "catalog": Command("m0cli.catalog", "Catalogs: list, plan, set and retire them.", DEPLOYMENT),
    "release": Command("m0cli.release", "Releases side by side: switch, finish, and back.", DEPLOYMENT),
    "control-key": Command("m0cli.control_key", "The key that signs changes: hand it on to a new one.", DEPLOYMENT),
    "lane": Command("m0cli.lane", "Lanes of every stage, and new lives for them.", DEPLOYMENT),
    "backup": Command("m0cli.backup", "Backups: make, list, verify, restore, rehearse.", DEPLOYMENT),
    "rebuild": Command("m0cli.rebuild", "The index anew, from Kafka and the chain alone.", DEPLOYMENT),
    "domain": Command("m0cli.domain", "Check a domain before it runs.", DEPLOYMENT),
    "doctor": Command("m0cli.doctor.command", "Every box of the verification checklist.", DEPLOYMENT),
    "topics": Command("m0cli.topics", "Topics, users and rights: plan, apply and check them.", KAFKA),
    "kafka": Command("m0cli.kafka", "What any Kafka client needs to connect.", KAFKA),
    "verify": Command("m0cli.verify", "Check a prediction's proof against the chain.", USE),
    "watch": Command("m0cli.watch", "Finalized predictions live, each verified.", USE),
    "replay": Command("m0cli.replay", "Rebuild an epoch's root from the log.", USE),
}

STACK = dict.fromkeys(("up", "down", "status", "logs", "clean", "localnet"), "m0local")
"""Commands that another package of this project adds, and its name: who misses one is told what to install."""


def commands(plugins: Iterable[EntryPoint] | None = None) -> dict[str, Command]:
    """Every sub-command by name; those that packages add come first. `plugins` are their entry points, by default all
    that are installed.

    Raises RegistryError when one cannot be loaded or a name is taken.
    """
    found: dict[str, Command] = {}
    owner = dict.fromkeys(OWN, "m0cli")
    for plugin in entry_points(group=GROUP) if plugins is None else plugins:
        for name, command in _load(plugin).items():
            if name in owner:
                raise RegistryError(f"'m0 {name}' is added by both {owner[name]} and {plugin.value}: uninstall one")
            owner[name] = plugin.value
            found[name] = command
    return found | OWN


def _load(plugin: EntryPoint) -> Mapping[str, Command]:
    try:
        table: Mapping[str, Command] = plugin.load()
    except (ImportError, AttributeError) as error:
        raise RegistryError(
            f"the commands of {plugin.value} cannot be loaded ({error}): install its package again, or uninstall it"
        ) from error
    return table


def missing(name: str) -> str | None:
    """What to install for the command `name`, as a sentence; None when no package of this project adds it."""
    if name not in STACK:
        return None
    return (
        f"'m0 {name}' belongs to the local stack, which is not installed here: install the package {STACK[name]}, "
        "or run 'make up' in a checkout, which does"
    )
