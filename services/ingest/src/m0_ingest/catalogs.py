"""Announces each catalog's settings to every lane when ingest starts."""

from m0common.clock import Clock
from m0common.messages import CatalogPayload
from m0common.settings import Catalog

from m0_ingest.writer import Event, RawWriter

SOURCE = "settings"


def catalog_payload(name: str, catalog: Catalog, groups: tuple[str, ...]) -> CatalogPayload:
    """What the lanes of a catalog work with; `groups` are those of its dataset and are joined with the configured
    ones.
    """
    return CatalogPayload(
        catalog=name,
        epoch_ms=catalog.epoch_ms,
        signer_set_id=catalog.signer_set_id,
        model=catalog.model,
        groups=tuple(sorted({*catalog.groups, *groups})),
        params=dict(sorted(catalog.params.items())),
    )


async def announce(payload: CatalogPayload, writer: RawWriter, clock: Clock) -> None:
    """Write the settings into every partition; lanes that have them already pass them over."""
    now = clock.now_ms()
    await writer.write(
        [
            Event(SOURCE, f"{payload.catalog}:{now}", "", None, "catalog", now, payload, partition)
            for partition in range(writer.partitions)
        ]
    )
