"""The real servers of the embedded stack, each started from a Python package."""

from m0local.servers.base import Server
from m0local.servers.kafka import KafkaServer
from m0local.servers.postgres import PostgresServer
from m0local.servers.secured_kafka import SecuredKafkaServer
from m0local.servers.valkey import ValkeyServer

__all__ = ["KafkaServer", "PostgresServer", "SecuredKafkaServer", "Server", "ValkeyServer"]
