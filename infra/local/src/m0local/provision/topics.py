"""Create every topic of the catalogue, and give existing ones the settings of this release."""

import asyncio
import os

from m0common import settings as service_settings
from m0common.stream.kafka import KafkaBroker
from m0common.stream.kafka_options import KafkaOptions
from m0common.topics import TOPICS

from m0local.environment import common_environment
from m0local.provision import Say
from m0local.settings import StackSettings


def provision(settings: StackSettings, _say: Say) -> None:
    """Raises m0common's SettingsError or Unavailable."""
    kafka = service_settings.load(os.environ | common_environment(settings, os.environ)).kafka
    options = KafkaOptions(bootstrap=kafka.bootstrap, client="m0-provision", replication=kafka.replication)
    asyncio.run(KafkaBroker(options).create_topics(TOPICS, kafka.partitions))
