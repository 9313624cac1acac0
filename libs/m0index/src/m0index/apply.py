"""Rebuild the rows of things whose events changed; publish markets that look different afterwards."""

from collections.abc import Collection

from m0chain import Programs
from m0common.messages import RegistryMarket, encode
from m0common.store.postgres import Connection
from m0common.topics import REGISTRY
from solders.pubkey import Pubkey

from m0index import changes
from m0index.fold import fold_catalog, fold_market, fold_signer_set
from m0index.fold_epoch import fold_epoch
from m0index.rows import MarketRow
from m0index.tables import entities, history, outbox


def registry_message(row: MarketRow) -> RegistryMarket:
    """The market as consumers of `m0.registry` see it."""
    return RegistryMarket(
        row.market_id,
        row.catalog,
        row.market_group,
        row.title,
        tuple(row.outcomes),
        row.state,
        row.schema_version,
        row.opens_ms,
        row.resolves_after_ms,
        row.resolution,
        row.slot,
    )


def registry_envelope(row: MarketRow) -> tuple[str, str, bytes, bytes]:
    """The market as a message for the outbox."""
    return REGISTRY.name, "", row.market_id.encode(), encode(registry_message(row))


async def refold(connection: Connection, touched: Collection[str], programs: Programs, now_ms: int) -> None:
    """Bring the rows of `touched` things in line with their stored events."""
    by_kind: dict[str, list[str]] = {}
    for entity in sorted(touched):
        by_kind.setdefault(entity.partition(":")[0], []).append(entity)
    await _signer_sets(connection, by_kind.get("signer_set", []))
    await _catalogs(connection, by_kind.get("catalog", []))
    await _markets(connection, by_kind.get("market", []), now_ms)
    await _epochs(connection, by_kind.get("epoch", []), programs.oracle)
    if touched:
        await changes.notify(connection)


async def _signer_sets(connection: Connection, names: list[str]) -> None:
    if not names:
        return
    found = {int(n.split(":")[1]): fold_signer_set(e) for n, e in (await history.events_of(connection, names)).items()}
    await entities.put_signer_sets(connection, [row for row in found.values() if row is not None])
    await entities.drop_signer_sets(connection, [set_id for set_id, row in found.items() if row is None])


async def _catalogs(connection: Connection, names: list[str]) -> None:
    if not names:
        return
    found = {n.split(":")[1]: fold_catalog(e) for n, e in (await history.events_of(connection, names)).items()}
    await entities.put_catalogs(connection, [row for row in found.values() if row is not None])
    await entities.drop_catalogs(connection, [name for name, row in found.items() if row is None])


async def _markets(connection: Connection, names: list[str], now_ms: int) -> None:
    if not names:
        return
    after = {
        bytes.fromhex(n.split(":")[1]): fold_market(e) for n, e in (await history.events_of(connection, names)).items()
    }
    before = await entities.markets(connection, list(after))
    rows = [row for row in after.values() if row is not None]
    await entities.put_markets(connection, rows)
    await entities.drop_markets(connection, [key for key, row in after.items() if row is None])
    changed = [
        row
        for row in rows
        if row.market_key not in before or registry_message(before[row.market_key]) != registry_message(row)
    ]
    await outbox.put(connection, [registry_envelope(row) for row in changed], now_ms)


async def _epochs(connection: Connection, names: list[str], oracle: Pubkey) -> None:
    if not names:
        return
    sets = await entities.signer_sets(connection)
    for name, events in (await history.events_of(connection, names)).items():
        _, catalog, epoch_id = name.split(":")
        set_id = next((i for e in events if (i := getattr(e.event, "signer_set_id", None)) is not None), None)
        rows = fold_epoch(events, oracle, None if set_id is None else sets.get(set_id))
        if rows is None:
            await entities.drop_epoch(connection, catalog, int(epoch_id))
        else:
            await entities.put_epoch(connection, rows)
