"""The domains that this process has, as catalogs are composed from them."""

from importlib.metadata import entry_points

from m0lanes.control import RESERVED
from m0lanes.domains import GROUP, load_domains
from m0lanes.release import release_of

from m0replay.catalogs import Installed


def installed_domains() -> dict[str, Installed]:
    """The same as catalogs are composed from them. Raises SettingsError."""
    domains = load_domains()
    distributions = {
        entry.load().name: entry.dist.name for entry in entry_points(group=GROUP) if entry.dist is not None
    }
    return {
        name: Installed(
            name=name,
            distribution=distributions.get(name, ""),
            version=domain.version,
            release=release_of(domain).hex(),
            models=frozenset(domain.models),
            kinds=frozenset(domain.payloads) - RESERVED,
        )
        for name, domain in domains.items()
    }
