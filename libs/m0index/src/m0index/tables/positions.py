"""How far readers of the log have come; written in the transaction of what they made of it."""

from collections.abc import Iterable

from m0common.store.postgres import Connection
from m0common.stream.broker import TopicPartition


async def of(
    connection: Connection, reader: str, cluster: str, places: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """The next offset of each of these partitions that the reader has read of in this cluster."""
    wanted = sorted(places)
    found = await connection.execute(
        """
        SELECT topic, partition, next_offset FROM positions
        JOIN unnest(%s::text[], %s::int[]) AS wanted (topic, partition) USING (topic, partition)
        WHERE reader = %s AND cluster = %s
        """,
        ([where.topic for where in wanted], [where.partition for where in wanted], reader, cluster),
    )
    return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in await found.fetchall()}


async def move(
    connection: Connection, reader: str, cluster: str, where: TopicPartition, known: int | None, to: int
) -> bool:
    """Put the reader at `to`; False when it is not at `known` (None: it has read nothing of it in this cluster)."""
    if known is None:
        moved = await connection.execute(
            """
            INSERT INTO positions (reader, topic, partition, cluster, next_offset) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (reader, topic, partition) DO UPDATE SET
                cluster = excluded.cluster, next_offset = excluded.next_offset
            WHERE positions.cluster <> excluded.cluster
            """,
            (reader, where.topic, where.partition, cluster, to),
        )
    else:
        moved = await connection.execute(
            """
            UPDATE positions SET next_offset = %s
            WHERE reader = %s AND topic = %s AND partition = %s AND cluster = %s AND next_offset = %s
            """,
            (to, reader, where.topic, where.partition, cluster, known),
        )
    return moved.rowcount > 0
