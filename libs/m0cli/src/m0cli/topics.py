"""`m0 topics`: topics, users and rights of a cluster as the catalogue and the settings want them."""

import json
from pathlib import Path
from typing import Annotated

import typer
from m0common.settings import Settings
from m0common.stream.kafka_options import KafkaOptions
from m0kafka.apply import apply as do
from m0kafka.confluent import ConfluentCluster
from m0kafka.passwords import ensure_passwords, folder
from m0kafka.plan import Plan
from m0kafka.plan import plan as compare
from m0kafka.wanted import Wanted

from m0cli.failing import EXIT_FAILED, one_sentence
from m0cli.stack_settings import stack_settings

app = typer.Typer(no_args_is_help=True, help="Topics, users and rights in Kafka, from the catalogue.")

LEFT = "Nothing is missing. What is left over `m0 topics apply` takes away, once no older version runs."

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.command()
def plan(as_json: Json = False) -> None:
    """Print every topic, what it keeps, and what `apply` would do; changes nothing."""
    with one_sentence("topics plan", as_json):
        wanted, steps, _ = _compared(stack_settings())
        if as_json:
            print(json.dumps(_shown(wanted, steps)))
            return
        for topic in wanted.topics:
            print(wanted.describe(topic))
        print()
        _print_steps(steps)


@app.command()
def check(as_json: Json = False) -> None:
    """Exit with 0 when the cluster is as it should be, and with 1 when something differs; changes nothing."""
    with one_sentence("topics check", as_json):
        wanted, steps, _ = _compared(stack_settings())
        if as_json:
            print(json.dumps(_shown(wanted, steps)))
        else:
            _print_steps(steps)
        if steps.sentences():
            raise typer.Exit(EXIT_FAILED)


@app.command()
def apply(
    passwords: Annotated[
        Path | None,
        typer.Option(help="A folder with a file per user that holds its password; kafka/ below the keys otherwise."),
    ] = None,
    expand: Annotated[
        bool,
        typer.Option("--expand", help="Only add: take no right and nothing a topic keeps from a version that runs."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Do what `plan` says, as an administrator of the cluster; a user without a password is given one.

    A topic's partitions are for life: another count is refused. No topic and no setting is ever removed. With --expand
    what would be taken away is said and left; without it that is done too, when no older version runs any more.
    """
    with one_sentence("topics apply", as_json):
        settings = stack_settings()
        wanted, steps, cluster = _compared(settings)
        # before anything is changed: a folder that cannot be written to costs nothing
        secrets = ensure_passwords(passwords or folder(settings.keys_dir), wanted.users)
        does, left = (steps.expanding(), steps.contracting()) if expand else (steps, Plan())
        do(cluster, does, secrets, (lambda _: None) if as_json else print)
        if as_json:
            print(json.dumps({"done": does.sentences(), "left": left.sentences(), "users": list(wanted.users)}))
            return
        for sentence in left.sentences():
            print(f"left: {sentence}")
        if left.sentences():
            print(LEFT)
        elif not does.sentences():
            print("Topics and rights were as they should be.")


def _compared(settings: Settings) -> tuple[Wanted, Plan, ConfluentCluster]:
    wanted, cluster = Wanted.of(settings.kafka), ConfluentCluster(KafkaOptions.of(settings.kafka, "m0-topics"))
    return wanted, compare(wanted, cluster), cluster


def _shown(wanted: Wanted, steps: Plan) -> dict[str, object]:
    return {
        "topics": [wanted.describe(topic) for topic in wanted.topics],
        "differs": steps.sentences(),
        "left": steps.contracting().sentences(),
    }


def _print_steps(steps: Plan) -> None:
    for sentence in steps.sentences() or ["Everything is as it should be."]:
        print(sentence)
    if steps.sentences() and not steps.expanding().sentences():
        print(LEFT)
