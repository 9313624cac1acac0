"""The domains that this process has, as catalogs are composed from them."""

from collections.abc import Mapping
from importlib.metadata import entry_points

from m0common.errors import SettingsError
from m0lanes.control import RESERVED
from m0lanes.domains import GROUP, load_domains
from m0lanes.port import Domain
from m0lanes.release import release_of

from m0replay.catalogs import Installed


def loaded_domains() -> Mapping[str, Domain]:
    """Every installed domain by name. Raises SettingsError for one that cannot be imported or used."""
    try:
        return load_domains()
    except SettingsError:
        raise
    except Exception as error:  # it is somebody's code
        raise SettingsError(
            f"a domain cannot be imported ({type(error).__name__}: {error}): mend it, or uninstall its package"
        ) from error


def installed_domains() -> dict[str, Installed]:
    """The same as catalogs are composed from them. Raises SettingsError."""
    domains = loaded_domains()
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
