"""What is wrong with settings is one sentence that names it and the remedy; secrets are in none."""

import re

import pytest
from m0common.errors import SettingsError, Unavailable
from m0common.settings import load
from m0common.stream.kafka_options import KafkaOptions

NAME_ANOTHER = r"name one of config/\*\.toml, by M0_CONFIG_PATH or as the argument"


def test_a_folder_in_place_of_the_settings_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=rf"settings file {tmp_path} cannot be read: .*: {NAME_ANOTHER}"):
        load({"M0_CONFIG_PATH": str(tmp_path)})


def test_a_path_that_no_file_can_have_is_refused():
    with pytest.raises(SettingsError, match=f"cannot be read: File name too long: {NAME_ANOTHER}"):
        load({"M0_CONFIG_PATH": "x" * 5000})


def test_a_settings_file_in_another_encoding_is_named(tmp_path):
    file = tmp_path / "latin.toml"
    file.write_bytes('env = "é"'.encode("latin-1"))
    with pytest.raises(SettingsError, match=rf"settings file {file} is not UTF-8: .*: save it as UTF-8"):
        load({"M0_CONFIG_PATH": str(file)})


SECURED = {"M0_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "M0_KAFKA_USERNAME": "model", "M0_KAFKA_PASSWORD": "marker"}


@pytest.fixture
def config(tmp_path):
    (tmp_path / "config.toml").write_text("")
    return {"M0_CONFIG_PATH": str(tmp_path / "config.toml")}


def test_a_password_is_in_nothing_that_settings_print(config):
    settings = load(config | SECURED)
    assert settings.kafka.password.reveal() == "marker"
    for shown in (str(settings), repr(settings), settings.model_dump_json(), str(KafkaOptions.of(settings.kafka, "x"))):
        assert "marker" not in shown


def test_a_user_without_a_password_is_refused_with_the_remedy(config):
    with pytest.raises(SettingsError, match=r"kafka: .*user model has no password: set M0_KAFKA_PASSWORD_FILE"):
        load(config | SECURED | {"M0_KAFKA_PASSWORD": ""})
    with pytest.raises(SettingsError, match=r"SASL_SSL needs a user: set M0_KAFKA_USERNAME"):
        load(config | SECURED | {"M0_KAFKA_USERNAME": ""})


def test_a_password_and_its_file_at_once_are_refused_without_saying_it(config):
    with pytest.raises(
        SettingsError, match="M0_KAFKA_PASSWORD and M0_KAFKA_PASSWORD_FILE are both set: unset one"
    ) as refused:
        load(config | SECURED | {"M0_KAFKA_PASSWORD_FILE": "/run/secrets/kafka"})
    assert "marker" not in str(refused.value)


def test_one_program_in_two_roles_is_refused(config):
    told = {"M0_ORACLE_PROGRAM_ID": "Or1", "M0_REGISTRY_PROGRAM_ID": "Or1"}
    with pytest.raises(SettingsError, match="registry_program_id = Or1 is oracle_program_id too: each is a program of"):
        load(config | told)
    load(config | dict.fromkeys(told, "REPLACE_ME"))


def test_more_acknowledgements_than_replicas_are_refused(tmp_path):
    (tmp_path / "config.toml").write_text("[kafka]\nreplication = 1\nmin_insync_replicas = 2\n")
    with pytest.raises(SettingsError, match="min_insync_replicas = 2 can never be met with replication = 1"):
        load({"M0_CONFIG_PATH": str(tmp_path / "config.toml")})


def test_a_password_file_is_read_at_each_connect_and_one_that_is_gone_is_named(config, tmp_path):
    file = tmp_path / "password"
    told = config | SECURED | {"M0_KAFKA_PASSWORD": "", "M0_KAFKA_PASSWORD_FILE": str(file)}
    options = KafkaOptions.of(load(told).kafka, "model")
    for password in ("first", "second"):
        file.write_text(f"{password}\n")
        assert options.connection()["sasl_plain_password"] == password
        assert options.for_librdkafka()["sasl.password"] == password
    file.unlink()
    with pytest.raises(Unavailable, match=f"secret file {file} cannot be read"):
        options.connection()


def test_a_file_without_certificates_is_named(config):
    told = config | SECURED | {"M0_KAFKA_SSL_CAFILE": config["M0_CONFIG_PATH"]}
    with pytest.raises(SettingsError, match=r"kafka\.ssl_cafile .* holds no certificates: .*M0_KAFKA_SSL_CAFILE"):
        KafkaOptions.of(load(told).kafka, "model").connection()


@pytest.mark.parametrize(
    ("variable", "value"), [("M0_DRAIN_MS", "-1"), ("M0_DRAIN_MS", str(10**15)), ("M0_LOG_LEVEL", "loud")]
)
def test_a_variable_that_is_refused_is_named_with_its_value(tmp_path, variable, value):
    (tmp_path / "test.toml").write_text("")
    with pytest.raises(SettingsError, match=rf"^{variable}='{value}': "):
        load({"M0_CONFIG_PATH": str(tmp_path / "test.toml"), variable: value})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('kafka = "x"', "kafka of the settings file is 'x': write it as a table"),
        (f"x = {'[' * 10_000}", "nested too deep"),
        (f"drain_ms = {'1' * 5_000}", "test.toml: "),
    ],
)
def test_a_file_of_any_shape_is_refused_in_a_sentence(tmp_path, text, sentence):
    (tmp_path / "test.toml").write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        load({"M0_CONFIG_PATH": str(tmp_path / "test.toml"), "M0_KAFKA_BOOTSTRAP": "a:1"})


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("M0_KAFKA_BOOTSTRAP", "kafka", "kafka.bootstrap: write brokers as host:port"),
        ("M0_KAFKA_BOOTSTRAP", "a:9092,b", "kafka.bootstrap: write brokers as host:port"),
        ("M0_KAFKA_BOOTSTRAP", "a:0", "write brokers as host:port"),
        ("M0_KAFKA_BOOTSTRAP", "a:65536", "write brokers as host:port"),
        ("M0_KAFKA_BOOTSTRAP", "SASL_SSL://a:9092", "write brokers as host:port"),
        ("M0_RPC_URL", "localhost:8899", "solana.rpc_url: write an address like https://host:port"),
        ("M0_RPC_URL", "wss://node", "solana.rpc_url: write an address like https://host:port"),
        ("M0_RPC_URL", "http://node:port", "solana.rpc_url: write an address like https://host:port"),
        ("M0_RPC_URL", "http://[::1", "solana.rpc_url: write an address like https://host:port"),
        ("M0_RPC_URL", " https://node", "solana.rpc_url: write an address like https://host:port"),
        ("M0_RPC_URL", "https:///key", "solana.rpc_url: write an address like https://host:port"),
        ("M0_WS_URL", "https://node", "solana.ws_url: write an address like wss://host:port"),
        ("M0_OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "endpoint: write an address like https://host:port"),
        ("M0_PUBLIC_RPC_URL", "node", "solana.public_rpc_url: write an address like https://host:port"),
        ("M0_PUBLIC_WS_URL", "https://node", "solana.public_ws_url: write an address like wss://"),
        ("M0_API_BASE", "127.0.0.1:8080", "api_base: write an address like https://host:port"),
    ],
)
def test_an_address_of_another_form_is_refused_with_the_right_one(config, variable, value, said):
    with pytest.raises(SettingsError, match=re.escape(said)) as refused:
        load(config | {variable: value})
    assert str(refused.value).startswith(variable)
    assert "Value error" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("M0_KAFKA_BOOTSTRAP", "kafka-1.example:9092, [2001:db8::1]:9093"),
        ("M0_KAFKA_BOOTSTRAP", "a:9092,b:9092,"),
        ("M0_KAFKA_BOOTSTRAP", "[fe80::1%eth0]:9092"),
        ("M0_KAFKA_BOOTSTRAP", "REPLACE: host:port"),
        ("M0_RPC_URL", "https://user:key@node.example/v1/key?token=1"),
        ("M0_RPC_URL", "REPLACE"),
        ("M0_WS_URL", "wss://[2001:db8::1]:8900/key"),
        ("M0_OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
    ],
)
def test_addresses_of_every_form_that_clients_take_are_taken(config, variable, value):
    load(config | {variable: value})


def test_brokers_are_told_to_clients_without_blanks(config):
    assert load(config | {"M0_KAFKA_BOOTSTRAP": "a:9092, b:9092,"}).kafka.bootstrap == "a:9092,b:9092"


def test_the_key_in_an_address_of_another_form_is_not_said(config):
    with pytest.raises(SettingsError) as refused:
        load(config | {"M0_RPC_URL": "node.example/secret-of-the-provider"})
    assert "secret-of-the-provider" not in str(refused.value)


def test_a_user_that_no_broker_would_hear_of_is_refused(config):
    with pytest.raises(SettingsError, match=r"user model is told to nobody .* PLAINTEXT: set M0_KAFKA_SECURITY_PROT"):
        load(config | {"M0_KAFKA_USERNAME": "model"})


@pytest.mark.parametrize(
    "line", ["[kafka]\nreplication = true", "drain_ms = false", "[catalogs.coins]\ncommit_ms = true"]
)
def test_a_truth_value_is_no_number(tmp_path, line):
    (tmp_path / "config.toml").write_text(line)
    with pytest.raises(SettingsError, match=r"(true|false) is no number"):
        load({"M0_CONFIG_PATH": str(tmp_path / "config.toml")})
