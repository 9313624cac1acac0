"""Builds a small log of control records, signed with real keys."""

import msgspec
from m0common.canonical import set_hash
from m0common.deployment import Deployment
from m0common.messages import encode_raw, raw_event
from m0common.messages.codec import encode_json
from m0common.stream.partition import partition_for
from m0common.stream.records import Record
from m0lanes.authority import signed
from m0lanes.control import CatalogSetPayload, DomainRef, EpochEndPayload, NextGeneration, SourceRule
from solders.keypair import Keypair

PARTITIONS = 8
EPOCH_MS = 20_000
GENESIS = bytes(range(32))
CONTROL, CLOCK, OTHER = (Keypair.from_seed(bytes([n] * 32)) for n in (1, 2, 3))
DEPLOYMENT = Deployment(GENESIS, bytes(CONTROL.pubkey()), PARTITIONS)


def sign_with(key):
    return lambda message: bytes(key.sign_message(message))


def group_in(partition, nth=0):
    """The nth group whose partition is this one."""
    found = (f"g{n}" for n in range(10_000) if partition_for(f"g{n}".encode(), PARTITIONS) == partition)
    return [next(found) for _ in range(nth + 1)][-1]


def a_set(generation=1, lanes=(3,), catalog="sports", **changes):
    payload = CatalogSetPayload(
        catalog=catalog,
        generation=generation,
        partitions=PARTITIONS,
        epoch_ms=EPOCH_MS,
        domain=DomainRef("sports", "m0domains", 1),
        release="ab" * 32,
        model="football",
        params={},
        horizon_ms=600_000,
        groups=tuple(sorted(group_in(lane) for lane in lanes)),
        sources={"clock": SourceRule(("epoch_end",), bytes(CLOCK.pubkey()).hex())},
    )
    return msgspec.structs.replace(payload, **changes)


def set_value(payload, key=CONTROL, identity="set", said_ms=1):
    event = raw_event("control", identity, "", None, "catalog_set", said_ms, said_ms, payload)
    return encode_raw(signed(event, GENESIS, sign_with(key)))


def hash_of(payload):
    return set_hash(encode_json(payload))


def a_marker(epoch, generation=1, lanes=(3,), following=None, catalog="sports"):
    following = following and NextGeneration(following.generation, hash_of(following).hex())
    return EpochEndPayload(
        catalog, epoch, epoch * EPOCH_MS, (epoch + 1) * EPOCH_MS, generation, tuple(lanes), following
    )


def marker_value(payload, key=CLOCK, source="clock"):
    end = payload.window_end_ms
    event = raw_event(source, f"{payload.catalog}:{payload.epoch_id}", "", None, "epoch_end", end, end, payload)
    return encode_raw(signed(event, GENESIS, sign_with(key)))


class Log:
    """Records by partition, each a second after the one before."""

    def __init__(self):
        self.records = []
        self._ends = [0] * PARTITIONS

    def write(self, value, *partitions):
        """The same bytes into each of the partitions."""
        for partition in partitions:
            at_ms = 1_700_000_000_000 + len(self.records) * 1000
            self.records.append(Record("m0.raw.v1", partition, self._ends[partition], None, value, append_ms=at_ms))
            self._ends[partition] += 1
        return self

    def read_by(self, control_log):
        for record in self.records:
            control_log.take(record)
        return control_log
