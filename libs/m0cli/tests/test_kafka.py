"""`m0 kafka client`: what other clients are told."""

import pytest
from m0cli.kafka import connection, properties
from m0common.errors import SettingsError
from m0common.settings import Kafka, Settings
from m0kafka.passwords import ensure_passwords, folder


@pytest.fixture
def settings(tmp_path):
    ensure_passwords(folder(str(tmp_path)), ["operator"])
    (folder(str(tmp_path)) / "signer-1").write_text('quo"te\\\n')
    kafka = Kafka(
        security_protocol="SASL_SSL",
        username="model",
        password="of model",
        ssl_cafile="/etc/ca.pem",
        bootstrap="a:1,b:2",
        signers=1,
    )
    return Settings(keys_dir=str(tmp_path), kafka=kafka)


def test_a_cluster_in_the_clear_needs_its_address_alone():
    assert connection(Settings(), "operator") == {
        "bootstrap": "127.0.0.1:9092",
        "security_protocol": "PLAINTEXT",
        "sasl_mechanism": None,
        "username": None,
        "password": None,
        "ssl_cafile": None,
    }
    assert properties(connection(Settings(), "operator")) == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "PLAINTEXT",
    }


def test_passwords_come_from_the_files_that_apply_made_and_this_processs_own_from_its_settings(settings, tmp_path):
    made = (tmp_path / "kafka" / "operator").read_text()
    assert connection(settings, "operator")["password"] == made
    assert connection(settings, "model")["password"] == "of model"


def test_a_java_client_gets_a_password_whatever_is_in_it(settings):
    shown = properties(connection(settings, "signer-1"))
    assert shown["sasl.jaas.config"] == (
        'org.apache.kafka.common.security.scram.ScramLoginModule required username="signer-1" password="quo\\"te\\\\";'
    )
    assert (shown["ssl.truststore.type"], shown["ssl.truststore.location"]) == ("PEM", "/etc/ca.pem")


def test_a_user_that_there_is_not_is_refused_naming_those_that_there_are(settings):
    with pytest.raises(SettingsError, match=r"user signer-2 is none of ingest, .*signer-1, operator"):
        connection(settings, "signer-2")


def test_a_password_that_nobody_made_is_missed_with_the_remedy(settings):
    with pytest.raises(SettingsError, match=r"password of Kafka's user jobs .* `m0 topics apply` makes it"):
        connection(settings, "jobs")
