"""Which domains this process has: plug-ins found by the entry point group `m0.domains`."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from m0common.errors import SettingsError
from m0common.told import in_words

from m0lanes.bodies import KINDS
from m0lanes.control import CONTROL_KINDS, RESERVED
from m0lanes.port import Domain

GROUP = "m0.domains"


def check_domain(domain: Domain) -> Domain:
    """The domain, once its kinds clash with nothing of the heart's. Raises SettingsError naming the kind."""
    for kind in sorted(domain.payloads):
        if kind in CONTROL_KINDS | RESERVED:
            raise SettingsError(f"domain {domain.name}: kind {kind!r} is the heart's own, choose another name")
    for kind in sorted(domain.bodies):
        if kind in KINDS:
            raise SettingsError(f"domain {domain.name}: body {kind!r} is the heart's own, choose another name")
    return domain


@cache
def load_domains() -> Mapping[str, Domain]:
    """Every installed domain by name; see `domains_of`."""
    return domains_of(entry_points(group=GROUP))


def domains_of(entries: Iterable[EntryPoint]) -> Mapping[str, Domain]:
    """The domains of some entry points by name. Raises SettingsError for one that cannot be imported or used, whatever
    its code raises, and when two packages bring one name.
    """
    found: dict[str, Domain] = {}
    for entry in sorted(entries, key=lambda e: (e.name, e.value)):
        try:
            domain = check_domain(entry.load())
            name = domain.name
        except (SettingsError, KeyboardInterrupt):
            raise
        except BaseException as error:  # somebody's code: it may exit
            raise SettingsError(
                f"domain {entry.name} ({entry.value}) cannot be imported ({in_words(error)}): mend it, or uninstall "
                "its package"
            ) from error
        if name in found:
            raise SettingsError(f"domain {name!r} is brought by two packages: uninstall one of them")
        found[name] = domain
    return found
