"""A cluster in memory: what is told to it is there at once."""

from m0kafka.cluster import FoundTopic

DEFAULTS = {"min.insync.replicas": "1", "compression.type": "producer", "max.message.bytes": "1048588"}


class MemoryCluster:
    """See m0kafka.cluster.Cluster."""

    def __init__(self) -> None:
        self.found: dict[str, FoundTopic] = {}
        self.passwords: dict[str, str] = {}
        self.granted: set = set()

    def topics(self, names):
        return {name: self.found[name] for name in names if name in self.found}

    def create(self, name, partitions, replication, settings):
        self.found.setdefault(name, FoundTopic(partitions, replication, DEFAULTS | dict(settings)))

    def change(self, name, settings):
        there = self.found[name]
        self.found[name] = there._replace(settings={**there.settings, **settings})

    def users(self):
        return frozenset(self.passwords)

    def set_password(self, user, password):
        self.passwords[user] = password

    def rights(self):
        return frozenset(self.granted)

    def grant(self, rights):
        self.granted |= set(rights)

    def revoke(self, rights):
        self.granted -= set(rights)
