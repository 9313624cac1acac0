"""Who the processes of a stack are to its Kafka.

To a Kafka of the user's they are whom the user names, but for those whose passwords `m0 topics apply` has left among
the stack's keys: they are themselves there too.
"""

from m0common.rights import OPERATOR

from m0local.settings import StackSettings

PRINCIPALS = {"warden": OPERATOR}
"""Processes that have no name of their own there: the warden does what `m0 catalog` does."""


def credentials(settings: StackSettings, process: str) -> dict[str, str]:
    """The variables by which a process, or a user who is none, logs in; none where it is whom the user names."""
    user = PRINCIPALS.get(process, process)
    file = settings.kafka_passwords / user
    own = "kafka" not in settings.external
    if not (own or (settings.kafka_asks_who and file.exists())):
        return {}
    return {
        **({"M0_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"} if own else {}),
        "M0_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "M0_KAFKA_USERNAME": user,
        "M0_KAFKA_PASSWORD_FILE": str(file),
        # one of the environment that the stack was started in, which is for a Kafka of the user's own
        "M0_KAFKA_PASSWORD": "",
    }
