"""Objects that are named after their content: what lies under a name is what its name says, or is written anew."""

from m0common.telemetry.logs import logger

from m0archive.store import Store

_log = logger(__name__)


async def keep(store: Store, name: str, value: bytes) -> None:
    """Write an object that is named after its bytes. One that is there is compared, and replaced when it is another: a
    machine that ended while it was written leaves an empty one, and a disk changes what lies on it. Raises Unavailable.
    """
    if await store.create(name, value):
        return
    found = await store.get(name)
    if found != value:
        await store.put(name, value)
        _log.warning("archive_healed", object=name, bytes=len(value), found=None if found is None else len(found))
