"""How a client proves who it is and whom it trusts, for the two client libraries that we use."""

import ssl
from dataclasses import dataclass, field
from typing import Any

from m0common.errors import SettingsError
from m0common.secret import Secret
from m0common.settings import Kafka, SaslMechanism, SecurityProtocol


@dataclass(frozen=True, slots=True)
class Security:
    """A user with a password, asked for at each connect, and the authorities whose brokers are trusted.

    An empty `cafile` means the authorities of this machine.
    """

    protocol: SecurityProtocol = "PLAINTEXT"
    mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: str = ""
    password: Secret = field(default_factory=Secret)
    cafile: str = ""

    @staticmethod
    def of(settings: Kafka) -> "Security":
        """What the settings say."""
        return Security(
            settings.security_protocol,
            settings.sasl_mechanism,
            settings.username,
            settings.password,
            settings.ssl_cafile,
        )

    @property
    def authenticates(self) -> bool:
        """Whether the client names a user."""
        return self.protocol.startswith("SASL_")

    @property
    def encrypts(self) -> bool:
        """Whether the connection is TLS."""
        return self.protocol.endswith("SSL")

    def for_aiokafka(self) -> dict[str, Any]:
        """The arguments of every aiokafka client (untyped, hence Any).

        Raises SettingsError when `cafile` is unfit, Unavailable when the password's file cannot be read.
        """
        found: dict[str, Any] = {"security_protocol": self.protocol}
        if self.encrypts:
            found["ssl_context"] = self._trusted()
        if self.authenticates:
            found |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password.reveal(),
            }
        return found

    def for_librdkafka(self) -> dict[str, str]:
        """The settings of every client built on librdkafka.

        Raises Unavailable when the password's file cannot be read.
        """
        found: dict[str, str] = {"security.protocol": self.protocol}
        if self.encrypts and self.cafile:
            found["ssl.ca.location"] = self.cafile
        if self.authenticates:
            found |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password.reveal(),
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
