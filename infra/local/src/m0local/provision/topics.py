"""Topics, users and rights on the stack's Kafka, as `m0 topics apply` makes them, with the settings of this version."""

import os

from m0common import settings as service_settings
from m0common.stream.kafka_options import KafkaOptions
from m0kafka.apply import apply
from m0kafka.confluent import ConfluentCluster
from m0kafka.passwords import ensure_passwords
from m0kafka.plan import plan
from m0kafka.wanted import Wanted

from m0local.environment import common_environment
from m0local.kafka_users import credentials
from m0local.provision import Say
from m0local.servers.secured_kafka import ADMIN
from m0local.settings import StackSettings


def provision(settings: StackSettings, _say: Say) -> None:
    """Passwords are those of our own Kafka alone. Raises m0common's SettingsError or Unavailable."""
    told = os.environ | common_environment(settings, os.environ) | credentials(settings, ADMIN)
    kafka = service_settings.load(told).kafka
    cluster, wanted = ConfluentCluster(KafkaOptions.of(kafka, "m0-provision")), Wanted.of(kafka)
    users = () if "kafka" in settings.external else wanted.users
    apply(cluster, plan(wanted, cluster), ensure_passwords(settings.kafka_passwords, users), lambda _: None)
