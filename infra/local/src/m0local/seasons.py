"""The warden: a process that signs the set of a new season when ingest says that a replayed history is over.

Ingest writes `state/ingest/season-<catalog>.json` into the home of the stack: `{"catalog", "season", "groups"}`. Of all
that runs, this process alone reads the control key; a service can ask for a new season and for nothing else.
"""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
from m0common.clock import system_clock
from m0common.deployment import Deployment
from m0common.errors import InvalidValue, M0Error
from m0common.http import Status, status_server
from m0common.messages.types import CatalogName, Group
from m0common.process import run_service
from m0common.settings import Settings
from m0common.stream.door import UNDECODABLE
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.telemetry.logs import logger
from m0lanes.control import GROUPS_MAX
from m0replay.catalog_changes import season_set
from m0replay.catalog_desk import CatalogDesk

from m0local import settings as local
from m0local.control_keys import ControlKeys

POLL_S = 2.0
log = logger(__name__)


class Season(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ingest asks for: the groups that season `season` of a replayed history writes to."""

    catalog: CatalogName
    season: Annotated[int, msgspec.Meta(ge=2)]
    groups: Annotated[tuple[Group, ...], msgspec.Meta(min_length=1, max_length=GROUPS_MAX)]


class Warden:
    """Looks at what ingest asks for, catalog by catalog; a request that cannot be granted is named and kept."""

    def __init__(self, desk: CatalogDesk, keys: ControlKeys, folder: Path, catalogs: Iterable[str]) -> None:
        self._desk, self._keys, self._folder, self._catalogs = desk, keys, folder, tuple(catalogs)
        self.problems: dict[str, str] = {}

    def problem(self) -> str | None:
        """What keeps it from its work, None when nothing does."""
        return "; ".join(self.problems.values()) or None

    async def look(self) -> None:
        """Sign and write what is asked for and not in the log yet."""
        for catalog in self._catalogs:
            try:
                await self._look(catalog)
                self.problems.pop(catalog, None)
            except M0Error as error:
                if self.problems.get(catalog) != str(error):
                    log.warning("season_refused", catalog=catalog, error=str(error))
                self.problems[catalog] = str(error)

    async def _look(self, catalog: str) -> None:
        asked = read_request(self._folder / f"season-{catalog}.json", catalog)
        if asked is None:
            return
        await self._desk.log.read()
        standing = self._desk.log.standing(catalog)
        if standing.newest is None:
            return
        payload = season_set(standing.newest, asked.groups, standing.next_generation)
        if payload is not None:
            # a season changes groups, never code: the release in force need not be known here
            await self._desk.put(payload, self._keys.of(catalog, self._desk.log.signer(payload)), (payload.release,))
            log.info("season_set", catalog=catalog, season=asked.season, generation=payload.generation)


def read_request(path: Path, catalog: str) -> Season | None:
    """The request in a file, None when there is none. Raises InvalidValue naming the file."""
    try:
        asked = msgspec.json.decode(path.read_bytes(), type=Season)
    except FileNotFoundError:
        return None
    except (OSError, *UNDECODABLE) as error:
        raise InvalidValue(f"{path}: {error}") from error
    if asked.catalog != catalog:
        raise InvalidValue(f"{path}: it is about catalog {asked.catalog}, not {catalog}")
    return asked


async def serve(settings: Settings) -> None:
    """Watch until cancelled. Raises SettingsError when the key cannot be read."""
    stack = local.load(os.environ)
    broker = KafkaBroker(KafkaOptions.of(settings.kafka, "warden"))
    # no domain is needed: it composes no set
    desk = CatalogDesk(broker, Deployment.of(settings), stack.config_dir, stack.keys, {}, system_clock(settings.env))
    warden = Warden(desk, ControlKeys(stack.control_keys), stack.home / "state" / "ingest", settings.catalogs)
    status = Status("warden")
    status.ready["seasons"] = warden.problem
    server = status_server(status, settings.telemetry.prometheus_bind)
    await server.start()
    try:
        while True:
            await warden.look()
            await asyncio.sleep(POLL_S)
    finally:
        await server.stop()
        await broker.close()


def main() -> None:
    """The process."""
    run_service("warden", ("deployment", "kafka", "catalogs"), serve)


if __name__ == "__main__":
    main()
