"""Three nodes of Apache Kafka that trust nobody: TLS, SCRAM, rights of which nobody has any, two of three acknowledge.

Brokers know each other's controllers by certificate and their listeners by the administrator's password.
"""

import contextlib
import datetime as dt
import ipaddress
import os
import secrets
import time
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from m0common.secret import Secret
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.kafka_security import Security
from m0local.ports import LOOPBACK, free_port
from m0local.servers.kafka import KafkaServer, property_value
from m0local.settings import jars_dir
from m0local.testing import RunningKafka

ADMIN = "admin"
NODES = (1, 2, 3)
CLUSTER_ID = "AAAAAAAAAAAAAAAAAAAAAQ"
READY_S = 120

SECURED = """
process.roles=broker,controller
node.id=@NODE@
controller.quorum.voters=@VOTERS@
listeners=SASL_SSL://127.0.0.1:@PORT@,CONTROLLER://127.0.0.1:@CONTROLLER_PORT@
advertised.listeners=SASL_SSL://127.0.0.1:@PORT@
controller.listener.names=CONTROLLER
inter.broker.listener.name=SASL_SSL
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.security.protocol.map=CONTROLLER:SSL,SASL_SSL:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location=@KEYSTORE@
ssl.truststore.type=PEM
ssl.truststore.location=@CA@
listener.name.controller.ssl.client.auth=required
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule \
required username="admin" password="@PASSWORD@";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:admin;User:CN=broker
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
"""
OURS = {line.split("=", 1)[0] for line in SECURED.splitlines() if "=" in line}


class SecuredNode(KafkaServer):
    """One of the three; what SECURED does not say is as on the stack's own node."""

    def __init__(self, home: Path, number: int, ports: list[int], certificates: Path, password: str) -> None:
        super().__init__(home, ports[number - 1], ports[number + 2], jars=jars_dir(os.environ))
        voters = ",".join(f"{node}@{LOOPBACK}:{ports[node + 2]}" for node in NODES)
        self._password = password
        self._values = {
            "NODE": number,
            "VOTERS": voters,
            "PORT": self.port,
            "CONTROLLER_PORT": self.controller_port,
            "KEYSTORE": certificates / "broker.pem",
            "CA": certificates / "ca.pem",
            "PASSWORD": password,
        }

    def settings(self, data: Path) -> str:
        inherited = [line for line in super().settings(data).splitlines() if line.split("=", 1)[0] not in OURS]
        text = SECURED
        for key, value in self._values.items():
            text = text.replace(f"@{key}@", property_value(str(value)))
        return "\n".join(inherited) + text

    def format_options(self) -> list[str]:
        return ["-t", CLUSTER_ID, "--add-scram", f"SCRAM-SHA-512=[name={ADMIN},password={self._password}]"]

    def ready(self) -> bool:
        return True  # a node alone has no quorum: the cluster is waited for


class SecuredKafka:
    """The cluster; `options(user, password)` is how somebody reaches it."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "ca.pem"
        self.password = secrets.token_urlsafe(16)
        make_certificates(folder)
        first = free_port(count=2 * len(NODES))
        ports = [first + number for number in range(2 * len(NODES))]
        self.nodes = {
            number: RunningKafka(SecuredNode(folder / f"node{number}", number, ports, folder, self.password))
            for number in NODES
        }

    @property
    def bootstrap(self) -> str:
        return ",".join(node.bootstrap for node in self.nodes.values())

    def environment(self, user: str = ADMIN, password: str | None = None) -> dict[str, str]:
        """What a process of `user` is told."""
        return {
            "M0_KAFKA_BOOTSTRAP": self.bootstrap,
            "M0_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "M0_KAFKA_USERNAME": user,
            "M0_KAFKA_PASSWORD": password or self.password,
            "M0_KAFKA_SSL_CAFILE": str(self.ca),
        }

    def options(self, user: str = ADMIN, password: str | None = None) -> KafkaOptions:
        security = Security("SASL_SSL", "SCRAM-SHA-512", user, Secret(password or self.password), cafile=str(self.ca))
        return KafkaOptions(self.bootstrap, f"test-{user}", security, send_timeout_ms=60_000)

    def start(self) -> None:
        for node in self.nodes.values():
            node.start()
        deadline = time.monotonic() + READY_S
        while self.registered() < len(NODES):
            assert time.monotonic() < deadline, f"fewer than three brokers after {READY_S} s"
            time.sleep(0.5)

    def registered(self) -> int:
        """How many brokers the cluster has."""
        try:
            return len(AdminClient({**self.options().for_librdkafka(), "log_level": 0}).list_topics(timeout=5).brokers)
        except KafkaException:
            return 0

    def stop(self) -> None:
        for node in self.nodes.values():
            node.stop()


@contextlib.contextmanager
def secured_kafka(folder: Path):
    """Three nodes, ready; no topic, no user but the administrator, no right."""
    cluster = SecuredKafka(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def make_certificates(folder: Path, authority: str = "ca") -> None:
    """An authority, and one certificate for all nodes: `ca.pem`, and `broker.pem` with its key."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = sign(named(authority), ca_key.public_key(), named(authority), ca_key, ca=True)
    key = ec.generate_private_key(ec.SECP256R1())
    broker = sign(named("broker"), key.public_key(), ca.subject, ca_key, ca=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{authority}.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "broker.pem").write_bytes(private + broker.public_bytes(serialization.Encoding.PEM))


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def sign(subject, public_key, issuer, issuer_key, *, ca: bool) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
