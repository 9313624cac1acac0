"""`m0 kafka client`: what any Kafka client needs to connect to this deployment."""

import json
from pathlib import Path
from typing import Annotated

import typer
from m0common.errors import SettingsError
from m0common.rights import OPERATOR, principals
from m0common.settings import Kafka, Settings
from m0common.stream.kafka_security import Security
from m0kafka.passwords import folder, password_of

from m0cli.failing import one_sentence
from m0cli.stack_settings import stack_settings

app = typer.Typer(no_args_is_help=True, help="Other clients of this deployment's Kafka.")


@app.callback()
def kafka() -> None:
    """Other clients of this deployment's Kafka."""


@app.command()
def client(
    user: Annotated[str, typer.Option(help="Who connects: operator, a service, or signer-1 and so on.")] = OPERATOR,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for any client.")] = False,
) -> None:
    """Print how to connect: a properties file for Kafka's own tools, which holds the password."""
    with one_sentence("kafka client", as_json):
        found = connection(stack_settings(), user)
    if as_json:
        print(json.dumps(found))
        return
    for key, value in properties(found).items():
        print(f"{key}={_escaped(value)}")


def connection(settings: Settings, user: str) -> dict[str, str | None]:
    """How `user` connects; fields that the cluster has no use for are None. Raises SettingsError or Unavailable."""
    kafka = settings.kafka
    security = Security.of(kafka)
    secured = security.authenticates
    return {
        "bootstrap": kafka.bootstrap,
        "security_protocol": kafka.security_protocol,
        "sasl_mechanism": kafka.sasl_mechanism if secured else None,
        "username": user if secured else None,
        "password": _password(kafka, security, folder(settings.keys_dir), user) if secured else None,
        "ssl_cafile": (kafka.ssl_cafile or None) if security.encrypts else None,
    }


def _password(kafka: Kafka, security: Security, directory: Path, user: str) -> str:
    if user == kafka.username:
        return security.password.reveal()
    if user not in principals(kafka.signers):
        raise SettingsError(f"user {user} is none of {', '.join(principals(kafka.signers))}: name one of these")
    return password_of(directory, user)


def properties(found: dict[str, str | None]) -> dict[str, str]:
    """The same as settings of a Java client."""
    shown = {"bootstrap.servers": found["bootstrap"] or "", "security.protocol": found["security_protocol"] or ""}
    if found["username"] is not None:
        mechanism = found["sasl_mechanism"] or ""
        kind = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        shown["sasl.mechanism"] = mechanism
        shown["sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{kind} required "
            f'username="{_quoted(found["username"])}" password="{_quoted(found["password"] or "")}";'
        )
    if found["ssl_cafile"] is not None:
        shown |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": found["ssl_cafile"]}
    return shown


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _escaped(value: str) -> str:
    r"""A value as java.util.Properties reads it back: a backslash begins an escape there."""
    return value.replace("\\", "\\\\")
