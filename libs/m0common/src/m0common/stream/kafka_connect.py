"""Opening a client, and why Kafka refuses one: aiokafka itself only says that it could not bootstrap."""

import asyncio
import ssl
from collections.abc import Awaitable
from typing import Any

from aiokafka.client import collect_hosts  # type: ignore[import-untyped]
from aiokafka.conn import create_conn  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from m0common.errors import Unavailable
from m0common.stream.kafka_call import call
from m0common.stream.kafka_options import KafkaOptions


async def connect(options: KafkaOptions, starting: Awaitable[Any]) -> None:
    """Wait until a client has started. Raises Unavailable, with the reason when this user or a broker is refused."""
    try:
        await call(f"connect to {options.bootstrap}", options.request_timeout_ms, starting)
    except Unavailable as error:
        reason = await refusal(options) if options.security.protocol != "PLAINTEXT" else None
        if reason is None:
            raise Unavailable(f"{error}; check M0_KAFKA_BOOTSTRAP") from error
        raise Unavailable(f"connect to {options.bootstrap}: {reason}") from error


async def refusal(options: KafkaOptions) -> str | None:
    """Why a client with these options is not let in, None when that is not what is wrong."""
    shared = {
        name: value
        for name, value in options.connection().items()
        if name in ("client_id", "request_timeout_ms") or name.startswith(("security", "ssl", "sasl"))
    }
    for host, port, _ in collect_hosts(options.bootstrap):
        try:
            async with asyncio.timeout(options.request_timeout_ms / 1000):
                (await create_conn(host, port, **shared)).close()
        except (SaslAuthenticationFailed, AuthenticationFailedError):
            return (
                f"Kafka refuses user {options.security.username!r} with this password: "
                "set M0_KAFKA_USERNAME and M0_KAFKA_PASSWORD or M0_KAFKA_PASSWORD_FILE"
            )
        except UnsupportedSaslMechanismError as error:
            return f"{error.args[0]}: set kafka.sasl_mechanism to one that the broker has"
        except ssl.SSLCertVerificationError as error:
            return (
                f"the certificate of {host}:{port} is not trusted ({error.verify_message}): "
                "let M0_KAFKA_SSL_CAFILE name the authorities that signed it"
            )
        except ssl.SSLError as error:
            return (
                f"{host}:{port} does not speak TLS ({error.reason}): set kafka.security_protocol as the broker has it"
            )
        except (KafkaError, OSError, TimeoutError):
            continue
        else:
            return None
    return None
