"""Where catalogs of one deployment are looked at and changed: by the command, the launcher and its warden alike."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError, SettingsError, nearest
from m0common.stream.broker import Broker
from m0lanes.control import CatalogSetPayload, Certificate
from solders.keypair import Keypair

from m0replay import catalog_files
from m0replay.catalog_changes import (
    Difference,
    check,
    closing,
    differences,
    in_season,
    lanes_to_write,
    retired_set,
)
from m0replay.catalog_log import CatalogLog
from m0replay.catalog_writer import Written, set_event, write
from m0replay.catalogs import Installed, compose
from m0replay.control_keys import ControlKey, chained
from m0replay.keys import public_keys


class Plan(NamedTuple):
    """What writing `payload` would do: fields that change, open markets that close, lanes it is written into."""

    before: CatalogSetPayload | None
    payload: CatalogSetPayload
    changes: list[Difference]
    closes: list[str]
    lanes: list[int]


class CatalogDesk:
    """Reads the log with `read`; everything else is about the log as it was read last."""

    def __init__(
        self,
        broker: Broker,
        deployment: Deployment,
        config_dir: Path,
        keys_dir: Path,
        domains: Mapping[str, Installed],
        clock: Clock,
    ) -> None:
        """Args: `config_dir` holds markets/ and risk/, `keys_dir` the key files of sources."""
        self.broker, self.deployment, self.clock = broker, deployment, clock
        self._config_dir, self._keys_dir, self._domains = config_dir, keys_dir, domains
        self.log = CatalogLog(broker, deployment, clock)

    @property
    def releases(self) -> frozenset[str]:
        """The releases that are installed here, in hex."""
        return frozenset(domain.release for domain in self._domains.values())

    def release_of(self, domain: str) -> str | None:
        """The installed release of a domain, in hex; None when it is not installed."""
        found = self._domains.get(domain)
        return None if found is None else found.release

    def composed(
        self,
        name: str,
        path: Path | None = None,
        release: str | None = None,
        certificates: Iterable[Certificate] = (),
    ) -> CatalogSetPayload:
        """The set of the next generation as the files have it; `release` takes the place of theirs, `certificates` go
        on from those that the catalog has. A source whose key file is not here keeps the key that the log has of it:
        where catalogs are changed is not where sources sign.

        Raises SettingsError.
        """
        files = catalog_files.read(self._config_dir, name, path)
        standing = self.log.standing(name)
        newest = standing.newest
        signing = [source for source, table in files.table.sources.items() if table.key is True]
        had = {} if newest is None else {source: rule.key for source, rule in newest.sources.items() if rule.key}
        keys = had | public_keys(self._keys_dir, signing)
        known = () if newest is None else newest.certificates
        chain = chained(known, certificates, self.deployment.control_key, self.deployment.genesis_hash)
        payload = compose(files, self._domains, keys, self.deployment.partitions, standing.next_generation, chain)
        return in_season(newest, payload if release is None else msgspec.structs.replace(payload, release=release))

    def retired(self, name: str) -> CatalogSetPayload:
        """The set that ends a catalog. Raises SettingsError for one that is not in the log."""
        standing = self.log.standing(name)
        if standing.newest is None:
            raise SettingsError(f"the log has no catalog {name}{nearest(name, self.log.control.catalogs())}")
        return retired_set(standing.newest, standing.next_generation)

    def plan(self, payload: CatalogSetPayload, releases: Collection[str] = ()) -> Plan:
        """What writing a set would change. `releases` may be named although they are not installed.

        Raises SettingsError for one that may not be written.
        """
        name = payload.catalog
        standing = self.log.standing(name)
        check(payload, standing, self.log.others(name), self.deployment.partitions, self.releases.union(releases))
        lanes = lanes_to_write(standing, payload)
        self._check_lanes(payload, lanes)
        return Plan(
            standing.newest,
            payload,
            differences(standing.newest, payload),
            closing(standing.newest, payload, self.log.markets.of(name)),
            lanes,
        )

    async def put(self, payload: CatalogSetPayload, keypair: Keypair, releases: Collection[str] = ()) -> Written:
        """Check, sign and write a set; it takes effect at the marker that names it. Raises what `plan` raises,
        SettingsError for a key that may not sign and for a set that lanes would refuse, Unavailable.
        """
        plan, deployment = self.plan(payload, releases), self.deployment
        key = ControlKey(keypair, deployment.control_key, deployment.genesis_hash, payload.certificates)
        producer = self.broker.producer()
        await producer.start()
        try:
            return await write(producer, key, payload, plan.lanes, self.log.say_ms(payload.catalog))
        finally:
            await producer.stop()

    def _check_lanes(self, payload: CatalogSetPayload, lanes: Iterable[int]) -> None:
        """Raises SettingsError with the sentence of the first lane that would refuse the set."""
        try:
            self.log.control.check(set_event(payload, self.log.say_ms(payload.catalog)), lanes)
        except DeadLetterError as error:
            raise SettingsError(
                f"{payload.catalog}:{payload.generation} is not written, lanes would refuse it: {error}"
            ) from None
