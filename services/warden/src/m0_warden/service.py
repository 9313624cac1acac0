"""Signs the set of a new season when ingest says that a recorded history is over.

Ingest writes what it asks for into `m0.cursors`, under `season:<catalog>`. Of all that runs, this process alone reads
the control key; a service can ask for a new season and for nothing else.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from pathlib import Path

from m0common.cursors import SEASON, Cursors, SeasonRequest
from m0common.deployment import Deployment
from m0common.errors import InvalidValue, M0Error, SettingsError
from m0common.process import Process
from m0common.stream.broker import Broker
from m0common.stream.follow import read_to_end
from m0common.stream.service import broker_of
from m0common.telemetry.logs import logger
from m0common.topics import CURSORS
from m0replay.catalog_changes import season_set
from m0replay.catalog_desk import CatalogDesk
from m0replay.control_keys import ControlKeys

POLL_S = 5.0
log = logger(__name__)


class Warden:
    """Looks at what ingest asks for, catalog by catalog; a request that cannot be granted is named and kept."""

    def __init__(self, desk: CatalogDesk, keys: ControlKeys, broker: Broker, catalogs: Iterable[str]) -> None:
        self._desk, self._keys, self._broker, self._catalogs = desk, keys, broker, tuple(catalogs)
        self.problems: dict[str, str] = {}

    def problem(self) -> str | None:
        """What keeps it from its work, None when nothing does."""
        return "; ".join(self.problems.values()) or None

    async def run(self) -> None:
        """Look from time to time; until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Sign and write what is asked for and not in the log yet."""
        try:
            cursors = await self._read()
            self.problems.pop(CURSORS.name, None)
        except M0Error as error:
            self.problems[CURSORS.name] = str(error)
            return
        for catalog in self._catalogs:
            try:
                await self._look(catalog, cursors.get(SEASON + catalog, SeasonRequest))
                self.problems.pop(catalog, None)
            except M0Error as error:
                if self.problems.get(catalog) != str(error):
                    log.warning("season_refused", catalog=catalog, error=str(error))
                self.problems[catalog] = str(error)

    async def _read(self) -> Cursors:
        """What is in the topic now; compaction keeps it short."""
        cursors = Cursors()
        async with aclosing(read_to_end(self._broker, CURSORS.name)) as batches:
            async for records in batches:
                for record in records:
                    cursors.take(record)
        return cursors

    async def _look(self, catalog: str, asked: SeasonRequest | None) -> None:
        if asked is None:
            return
        if asked.catalog != catalog:
            raise InvalidValue(f"{CURSORS.name}: the request under {SEASON}{catalog} is about {asked.catalog}")
        await self._desk.log.read()
        standing = self._desk.log.standing(catalog)
        if standing.newest is None:
            return
        payload = season_set(standing.newest, asked.groups, standing.next_generation)
        if payload is not None:
            # a season changes groups, never code: the release in force need not be known here
            await self._desk.put(payload, self._keys.of(catalog, self._desk.log.signer(payload)), (payload.release,))
            log.info("season_set", catalog=catalog, season=asked.season, generation=payload.generation)


async def compose(process: Process) -> None:
    """The warden with the control keys. Raises SettingsError when there is no folder of them."""
    settings = process.settings
    keys = ControlKeys(control_folder(os.environ))
    broker = broker_of(process)
    # no domain is needed: it composes no set
    identity, files = Deployment.of(settings), Path(settings.catalogs_dir)
    desk = CatalogDesk(broker, identity, files, Path(settings.keys_dir), {}, process.clock)
    warden = Warden(desk, keys, broker, settings.catalogs)
    process.status.ready["seasons"] = warden.problem
    process.task("seasons", warden.run)


def control_folder(env: Mapping[str, str]) -> Path:
    """The folder of the control key's file; the keys that it was handed on to lie beside it. Raises SettingsError."""
    file = env.get("M0_CONTROL_KEY_FILE")
    if not file:
        raise SettingsError("M0_CONTROL_KEY_FILE is not set: name the file of the control key")
    if not Path(file).parent.is_dir():
        raise SettingsError(f"M0_CONTROL_KEY_FILE is {file}: there is no folder {Path(file).parent}")
    return Path(file).parent
