"""The archive of a deployment's log, for commands: opened by the settings, or by an address in their place."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from m0archive.store import Store
from m0common.deployment import Deployment
from m0common.errors import SettingsError
from m0common.settings import Settings

from m0cli.failing import NO_EXITS, NOTHING, Exits, one_sentence

if TYPE_CHECKING:
    from m0archive.broker import ArchiveBroker

T = TypeVar("T")

Archive = Annotated[
    str | None,
    typer.Option("--archive", metavar="URL", help="file:///FOLDER or s3://BUCKET/PREFIX (default: M0_ARCHIVE_URL)."),
]


def on_archive(
    command: str,
    url: str | None,
    work: Callable[[Store, Settings], Awaitable[T]],
    as_json: bool,
    failed: Mapping[str, object] = NOTHING,
    exits: Exits = NO_EXITS,
) -> T:
    """What `work` makes of the archive and the settings; see one_sentence for what goes wrong."""
    with one_sentence(command, as_json, failed, exits):
        return asyncio.run(_on_archive(url, work))


async def _on_archive(url: str | None, work: Callable[[Store, Settings], Awaitable[T]]) -> T:
    from m0archive.objects import opened  # noqa: PLC0415 - help needs no storage

    from m0cli.stack_settings import stack_settings  # noqa: PLC0415 - reads the deployment only when called

    settings = stack_settings()
    if url is not None and not url.strip():
        raise SettingsError("--archive is empty: write file:///FOLDER or s3://BUCKET/PREFIX, or leave it out")
    if not (url or settings.archive.url):
        raise SettingsError("no archive is named: set M0_ARCHIVE_URL, or say --archive URL")
    return await work(opened(settings.archive, url, makes=False), settings)


async def log_with(store: Store, deployment: Deployment, catalog: str, epoch_id: int) -> "ArchiveBroker":
    """Of the logs in an archive the newest that closed an epoch, the newest of all when none did. Raises NoArchive,
    Damaged, Unavailable.
    """
    from m0archive.broker import ArchiveBroker  # noqa: PLC0415
    from m0archive.incarnation import incarnations  # noqa: PLC0415
    from m0replay.headers import headers  # noqa: PLC0415

    newest: ArchiveBroker | None = None
    async for each in incarnations(store, deployment):
        broker = ArchiveBroker(each)
        newest = newest or broker
        async for _ in headers(broker, catalog, epoch_id, epoch_id):
            return broker
    assert newest is not None, "there is one, or incarnations raises"
    return newest
