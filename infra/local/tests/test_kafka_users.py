"""Who each process is to the stack's Kafka, without starting anything."""

import pytest
from m0common import settings as service_settings
from m0common.rights import ADMINISTRATOR, principals
from m0kafka.passwords import ensure_passwords
from m0local.environment import command_environment, write_environment
from m0local.errors import StartError
from m0local.kafka_users import credentials
from m0local.launch import service_environment
from m0local.processes import SERVICES, all_processes
from m0local.servers.secured_kafka import SecuredKafkaServer
from m0local.settings import load
from m0local.supervisor_conf import render
from supervisor.datatypes import dict_of_key_value_pairs


@pytest.fixture
def stack(tmp_path):
    return load({"M0_HOME": str(tmp_path / "zürich a'b")})


def told(stack, service, **inherited):
    """The Kafka settings of a service that was started in an environment."""
    stack.run.mkdir(parents=True, exist_ok=True)
    write_environment(stack, {})
    return service_settings.load(service_environment(stack.home, inherited | all_processes(stack)[service].env)).kafka


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "warden"])
def test_a_service_logs_in_as_itself_with_its_own_password(stack, service):
    kafka = told(stack, service)
    assert (kafka.security_protocol, kafka.sasl_mechanism) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    assert kafka.username == service
    assert kafka.password.file == stack.home / "keys" / "kafka" / service
    assert service in principals(kafka.signers)


def test_the_warden_does_what_an_operator_does(stack):
    assert told(stack, "warden").username == "operator"


def test_a_password_for_another_kafka_in_the_users_environment_is_no_services(stack):
    kafka = told(stack, "feature", M0_KAFKA_USERNAME="me", M0_KAFKA_PASSWORD="mine")
    assert kafka.username == "feature"
    assert kafka.password.file == stack.kafka_passwords / "feature"


def test_commands_log_in_as_the_operator(stack):
    found = command_environment({"M0_HOME": str(stack.home)})
    assert service_settings.load(found).kafka.username == "operator"


def test_to_a_kafka_of_the_users_own_everybody_is_whom_the_user_names(tmp_path):
    env = {"M0_HOME": str(tmp_path), "M0_KAFKA_BOOTSTRAP": "a:1"}
    stack = load(env)
    assert credentials(stack, "feature") == {}
    kafka = told(stack, "feature", M0_KAFKA_SECURITY_PROTOCOL="SASL_SSL", M0_KAFKA_USERNAME="me", M0_KAFKA_PASSWORD="p")
    assert (kafka.security_protocol, kafka.username) == ("SASL_SSL", "me")


def test_to_a_kafka_of_the_users_own_those_whose_passwords_were_made_here_are_themselves(tmp_path):
    own = {"M0_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "M0_KAFKA_USERNAME": "me", "M0_KAFKA_PASSWORD": "p"}
    stack = load({"M0_HOME": str(tmp_path), "M0_KAFKA_BOOTSTRAP": "a:1"} | own)
    ensure_passwords(stack.kafka_passwords, ["feature"])
    kafka = told(stack, "feature", **own)
    assert (kafka.security_protocol, kafka.username) == ("SASL_SSL", "feature")
    assert kafka.password.file == stack.kafka_passwords / "feature"
    assert told(stack, "model", **own).username == "me"


def test_to_a_kafka_that_asks_nobody_who_they_are_nobody_says_it(tmp_path):
    env = {"M0_HOME": str(tmp_path), "M0_KAFKA_BOOTSTRAP": "a:1"}
    stack = load(env)
    ensure_passwords(stack.kafka_passwords, ["admin", "feature", "operator"])  # from a start with a Kafka of its own
    kafka = told(stack, "feature")
    assert (kafka.security_protocol, kafka.username) == ("PLAINTEXT", "")
    assert service_settings.load(command_environment(env)).kafka.username == ""
    (tmp_path / "sasl.toml").write_text('[kafka]\nsecurity_protocol = "SASL_SSL"\n')
    assert credentials(load(env | {"M0_CONFIG_PATH": str(tmp_path / "sasl.toml")}), "feature") != {}


def test_the_supervisor_reads_back_what_it_is_to_tell_a_service(stack):
    process = all_processes(stack)["signer-2"]
    (line,) = [line for line in render(stack, [process]).splitlines() if line.startswith("environment = ")]
    assert dict_of_key_value_pairs(line.removeprefix("environment = ")) == process.env


def server(folder):
    return SecuredKafkaServer(folder / "kafka", 21000, 21001, jars=folder, passwords=folder / "keys")


def test_the_broker_lets_nobody_in_without_a_name_and_allows_nothing_that_was_not_granted(tmp_path):
    made = server(tmp_path)
    made.passwords.mkdir()
    (made.passwords / ADMINISTRATOR).write_text("hush")
    text = made.settings(made.data).replace("\\\n", "")
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    assert values["listeners"] == "SASL_PLAINTEXT://127.0.0.1:21000,CONTROLLER://127.0.0.1:21001"
    protocols = {pair.split(":")[1] for pair in values["listener.security.protocol.map"].split(",")}
    assert protocols == {"SASL_PLAINTEXT"}
    assert values["authorizer.class.name"].endswith(".StandardAuthorizer")
    assert values["allow.everyone.if.no.acl.found"] == "false"
    assert values["super.users"] == "User:admin"
    assert text.count('password="hush"') == 2


def test_data_without_its_administrators_password_is_refused_with_the_remedy(tmp_path):
    made = server(tmp_path)
    made.data.mkdir(parents=True)
    (made.data / "meta.properties").write_text("cluster.id=x\n")
    with pytest.raises(StartError, match=f"data in {made.data} is an older version's.*'make clean'"):
        made.prepare()
    assert not made.passwords.exists()
