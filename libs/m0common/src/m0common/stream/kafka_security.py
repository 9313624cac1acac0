"""How a client proves who it is and whom it trusts, for the two client libraries that we use."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m0common.errors import SettingsError
from m0common.settings import Kafka, SaslMechanism, SecurityProtocol


@dataclass(frozen=True, slots=True)
class Security:
    """A user with a password, in a file when `password_file` names one, and the authorities whose brokers are trusted.

    An empty `cafile` means the authorities of this machine.
    """

    protocol: SecurityProtocol = "PLAINTEXT"
    mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: str = ""
    fixed_password: str = ""
    password_file: str = ""
    cafile: str = ""

    @staticmethod
    def of(settings: Kafka) -> "Security":
        """What the settings say."""
        return Security(
            settings.security_protocol,
            settings.sasl_mechanism,
            settings.username,
            settings.password.get_secret_value(),
            settings.password_file,
            settings.ssl_cafile,
        )

    def __repr__(self) -> str:
        return f"Security({self.protocol}, {self.username or 'nobody'})"

    @property
    def authenticates(self) -> bool:
        """Whether the client names a user."""
        return self.protocol.startswith("SASL_")

    @property
    def encrypts(self) -> bool:
        """Whether the connection is TLS."""
        return self.protocol.endswith("SSL")

    def password(self) -> str:
        """The password as it stands now: a file is read again at each call. Raises SettingsError."""
        if not self.password_file:
            return self.fixed_password
        try:
            return Path(self.password_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"kafka.password_file {self.password_file} cannot be read: {error}: "
                "let M0_KAFKA_PASSWORD_FILE name a file with the password alone"
            ) from error

    def for_aiokafka(self) -> dict[str, Any]:
        """The arguments of every aiokafka client (untyped, hence Any). Raises SettingsError."""
        found: dict[str, Any] = {"security_protocol": self.protocol}
        if self.encrypts:
            found["ssl_context"] = self._trusted()
        if self.authenticates:
            found |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password(),
            }
        return found

    def for_librdkafka(self) -> dict[str, str]:
        """The settings of every client built on librdkafka. Raises SettingsError."""
        found: dict[str, str] = {"security.protocol": self.protocol}
        if self.encrypts and self.cafile:
            found["ssl.ca.location"] = self.cafile
        if self.authenticates:
            found |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password(),
            }
        return found

    def _trusted(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.cafile or None)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"kafka.ssl_cafile {self.cafile} holds no certificates: {error}: "
                "let M0_KAFKA_SSL_CAFILE name a PEM file of the authorities that signed the brokers' certificates"
            ) from error


ANONYMOUS = Security()
"""Nobody in particular, in the clear."""
