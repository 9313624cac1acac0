"""A log in memory with something of every topic, and an archive of it."""

import lanes_world as lanes
from m0archive.collect import TOPICS, Collector
from m0archive.incarnation import newest
from m0common.deployment import Deployment
from m0common.leases.port import Lease
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Produce
from m0common.topics import CURSORS, RAW
from recorded_world import Recorded

DEPLOYMENT = Deployment(b"g" * 32, b"c" * 32, lanes.PARTITIONS)
LATE_MS = 90_000


class Archived:
    """`log` is written by the stages; `store` is filled by whoever leads."""

    def __init__(self, store):
        self.store = store
        self.log = Recorded()
        self.finals = {}
        self.fence = 0

    @property
    def broker(self):
        return self.log.broker

    async def of(self, records):
        await self.log.of(records)
        await self.broker.producer().send([Produce(CURSORS.name, 0, b"season:x", b"c1")])
        return self

    def collector(self, **options):
        """The next to lead."""
        self.fence += 1
        lease = Lease("jobs", f"holder-{self.fence}", self.fence)

        async def finals():
            return self.finals

        return Collector(self.broker, self.store, lease, self.log.clock, finals, LATE_MS, **options)

    async def opened(self, **options):
        collector = self.collector(**options)
        await collector.open(DEPLOYMENT)
        return collector

    async def fill(self, **options):
        """Archive all that may be, as a new leader; how many records that were."""
        collector, records = await self.opened(**options), 0
        while True:
            done = await collector.round()
            records += done.records
            if not done.more:
                break
        await collector.close()
        return records

    def everything_is_old(self):
        """No epoch is a secret any more."""
        self.log.clock.advance(10 * LATE_MS)

    async def read(self):
        """What the archive holds, by partition."""
        incarnation = await newest(self.store)
        found = {}
        for topic, known in incarnation.last.ends.items():
            for partition in range(len(known)):
                where = TopicPartition(topic, partition)
                at, records = incarnation.begin(where), []
                while at < incarnation.end(where):
                    stretch = await incarnation.read(where, at)
                    records += stretch.records
                    at = stretch.end
                found[where] = records
        return found

    def written(self):
        """What the log holds of the archived topics, by partition."""
        return {
            (topic, partition): self.broker.log(topic, partition)
            for topic in TOPICS
            for partition in range(len(self.broker.topic(topic).logs))
        }

    async def say(self, count, partition=0):
        """Raw records that nobody takes."""
        await self.broker.producer().send([Produce(RAW.name, partition, b"k", b"%d" % n) for n in range(count)])
