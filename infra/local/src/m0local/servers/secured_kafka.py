"""The stack's own Kafka: whoever connects logs in by SCRAM, and may do what was granted to it and nothing else.

Its administrator is the broker itself, and whoever applies topics, users and rights.
"""

from collections.abc import Mapping
from pathlib import Path

from m0common.errors import SettingsError
from m0common.rights import ADMINISTRATOR
from m0common.secret import Secret
from m0common.stream.kafka_security import Security
from m0kafka.passwords import ensure_passwords, password_of

from m0local.errors import StartError
from m0local.servers.jars import Progress
from m0local.servers.kafka import KafkaServer


class SecuredKafkaServer(KafkaServer):
    """A broker with users and rights; a new one knows its administrator alone."""

    listeners = "listeners.secured.tmpl"

    def __init__(
        self,
        home: Path,
        port: int,
        controller_port: int,
        *,
        jars: Path,
        passwords: Path,
        progress: Progress | None = None,
    ) -> None:
        """Args: `passwords` is the folder with a file per user; the administrator's is made where it is missing."""
        super().__init__(home, port, controller_port, jars=jars, progress=progress)
        self.passwords = passwords

    def prepare(self) -> None:
        """See Server. Raises StartError for data whose administrator nobody knows."""
        if self.formatted and not (self.passwords / ADMINISTRATOR).exists():
            raise StartError(
                f"Kafka's data in {self.data} is an older version's, which had no users, or the password of its "
                f"administrator, {self.passwords / ADMINISTRATOR}, was lost: drop the data with 'make clean'."
            )
        try:
            ensure_passwords(self.passwords, [ADMINISTRATOR])
        except SettingsError as error:
            raise StartError(f"{error}.") from error
        super().prepare()

    def values(self) -> Mapping[str, str]:
        """See KafkaServer."""
        return {**super().values(), "ADMIN": ADMINISTRATOR, "PASSWORD": password_of(self.passwords, ADMINISTRATOR)}

    def format_options(self) -> list[str]:
        """See KafkaServer."""
        password = password_of(self.passwords, ADMINISTRATOR)
        return [*super().format_options(), "--add-scram", f"SCRAM-SHA-512=[name={ADMINISTRATOR},password={password}]"]

    def security(self) -> Security:
        """See KafkaServer."""
        return Security("SASL_PLAINTEXT", "SCRAM-SHA-512", ADMINISTRATOR, Secret(file=self.passwords / ADMINISTRATOR))
