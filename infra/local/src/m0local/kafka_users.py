"""Who the processes of a stack are to its own Kafka; to a Kafka of the user's they are whom the user names."""

from m0common.rights import OPERATOR

from m0local.settings import StackSettings

PRINCIPALS = {"warden": OPERATOR}
"""Processes that have no name of their own there: the warden does what `m0 catalog` does."""


def credentials(settings: StackSettings, process: str) -> dict[str, str]:
    """The variables by which a process, or a user who is none, logs in; none for a Kafka of the user's own."""
    if "kafka" in settings.external:
        return {}
    user = PRINCIPALS.get(process, process)
    return {
        "M0_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "M0_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "M0_KAFKA_USERNAME": user,
        "M0_KAFKA_PASSWORD_FILE": str(settings.kafka_passwords / user),
        # one of the environment that the stack was started in, which is for a Kafka of the user's own
        "M0_KAFKA_PASSWORD": "",
    }
