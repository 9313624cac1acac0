"""Which domains this process has: plug-ins found by the entry point group `m0.domains`."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from m0common.errors import SettingsError

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
    """Every installed domain by name. Raises SettingsError when two packages bring one name."""
    found: dict[str, Domain] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        domain = check_domain(entry.load())
        if domain.name in found:
            raise SettingsError(f"domain {domain.name!r} is brought by two packages: uninstall one of them")
        found[domain.name] = domain
    return found
