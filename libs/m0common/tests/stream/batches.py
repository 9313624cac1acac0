"""Batches as they are on the wire, with whatever is wrong in them."""

import struct

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record._crc32c import crc

GOOD_HEADERS = [(b"traceparent", b"1")]
BAD_HEADERS = [("Grön".encode("latin-1"), b"1")]


def varint(number):
    number = (number << 1) ^ (number >> 63)
    found = bytearray()
    while number > 0x7F:
        found.append(0x80 | (number & 0x7F))
        number >>= 7
    return bytes([*found, number])


def sized(value):
    return varint(-1) if value is None else varint(len(value)) + value


def record(delta, value, headers=GOOD_HEADERS, *, key=b"k", attributes=0, header_count=None):
    body = bytes([attributes]) + varint(0) + varint(delta) + sized(key) + sized(value)
    body += varint(len(headers) if header_count is None else header_count)
    return sized(body + b"".join(sized(name) + sized(content) for name, content in headers))


def batch(records, count, *, codec=0, first_ms=1_700_000_000_000, base=0):
    """`records` is what follows the head: records one behind the other, packed with `codec`."""
    checked = struct.pack(">hiqqqhii", codec, count - 1, first_ms, first_ms, -1, -1, -1, count) + records
    return struct.pack(">qiibI", base, 9 + len(checked), -1, 2, crc(checked)) + checked


async def send_batch(bootstrap, topic, stored):
    """Write a batch to partition 0; the error code of the broker."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.force_metadata_update()
        (node,) = client.cluster.brokers()
        answer = await client.send(node.nodeId, ProduceRequest(None, 1, 10_000, [(topic, [(0, stored)])]))
        return answer.topics[0][1][0][1]
    finally:
        await client.close()
