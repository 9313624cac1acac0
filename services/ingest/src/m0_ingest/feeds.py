"""What each catalog is fed with: its connector, the domain that understands it, and the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from m0common.errors import SettingsError
from m0domains.history import Dataset
from m0lanes.port import Domain

from m0_ingest import connectors


@dataclass(frozen=True, slots=True)
class Feed:
    """What a catalog is fed with."""

    catalog: str
    connector: connectors.Connector
    domain: Domain
    dataset: Dataset


def feed_of(name: str, config_dir: Path, domains: Mapping[str, Domain]) -> Feed | None:
    """The feed of catalog `name`, None when it has no connector. Raises SettingsError without the domain it needs."""
    connector = connectors.load(config_dir / "markets" / f"{name}.toml")
    if connector is None:
        return None
    domain = domains.get(connector.domain)
    if domain is None:
        known = ", ".join(sorted(domains)) or "none"
        raise SettingsError(
            f"connector {connector.connector} of {name} needs domain {connector.domain}, which is not installed "
            f"(installed: {known}): install the package that has it"
        )
    return Feed(name, connector, domain, connector.dataset())
