"""A benchmark is run with a Kafka of its own, the arguments it was given and what lies beside it."""

import subprocess
import sys

import pytest


def run(*args):
    return subprocess.run(
        [sys.executable, "-m", "m0local.benchmark", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


@pytest.mark.kafka
def test_it_reaches_kafka_and_has_its_arguments(tmp_path):
    (tmp_path / "beside.py").write_text("GREETING = 'brokers'\n")
    (tmp_path / "bench.py").write_text(
        "from aiokafka import AIOKafkaProducer\n"
        "from beside import GREETING\n"
        "async def on_kafka(broker, arguments):\n"
        "    async with AIOKafkaProducer(bootstrap_servers=broker.options.bootstrap) as producer:\n"
        "        print(GREETING, len(producer.client.cluster.brokers()), arguments)\n"
    )
    done = run(tmp_path / "bench.py", "60", "x")
    assert (done.returncode, done.stdout) == (0, "brokers 1 ['60', 'x']\n"), done.stderr


def test_what_is_no_benchmark_is_named_before_anything_starts(tmp_path):
    done = run(tmp_path / "none.py")
    assert (done.returncode, done.stderr) == (
        1,
        f"Error: {tmp_path / 'none.py'} is no Python file: name one of libs/*/bench.\n",
    )
    assert run().returncode == 1
