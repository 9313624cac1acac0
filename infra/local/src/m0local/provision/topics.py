"""Every topic of the catalogue on the stack's Kafka, with the settings of this release."""

import os

from m0common import settings as service_settings
from m0common.stream.kafka_options import KafkaOptions
from m0kafka.apply import apply
from m0kafka.confluent import ConfluentCluster
from m0kafka.plan import plan
from m0kafka.wanted import Wanted

from m0local.environment import common_environment
from m0local.provision import Say
from m0local.settings import StackSettings


def provision(settings: StackSettings, _say: Say) -> None:
    """Raises m0common's SettingsError or Unavailable."""
    kafka = service_settings.load(os.environ | common_environment(settings, os.environ)).kafka
    cluster = ConfluentCluster(KafkaOptions.of(kafka, "m0-provision"))
    apply(cluster, plan(Wanted.of(kafka), cluster), {}, lambda _: None)
