"""Commands on the broker: what they hand back, and how they end when something goes wrong."""

import json

import pytest
import typer
from m0cli.on_broker import on_broker
from m0cli.replay import ENDINGS, NO_VERDICT
from m0common.errors import SettingsError
from m0replay.irreplayable import Irreplayable
from m0replay.releases import NotInstalled


@pytest.fixture(autouse=True)
def stack(tmp_path, monkeypatch):
    monkeypatch.setenv("M0_HOME", str(tmp_path))


async def fails(_broker, _settings):
    raise SettingsError("catalog sprots is not in the log")


def test_what_the_work_makes_is_handed_back():
    async def work(broker, settings):
        return type(broker).__name__, settings.env

    assert on_broker("lane", work, as_json=False) == ("KafkaBroker", "dev")


def test_what_goes_wrong_is_one_sentence_and_ends_with_1(capsys):
    with pytest.raises(typer.Exit) as ended:
        on_broker("lane", fails, as_json=False)
    said = capsys.readouterr()
    assert (ended.value.exit_code, said.out, said.err) == (1, "", "m0 lane: catalog sprots is not in the log\n")


def test_for_programs_it_is_an_object_with_what_the_command_promises(capsys):
    with pytest.raises(typer.Exit) as ended:
        on_broker("replay", fails, as_json=True, failed={"match": None})
    said = capsys.readouterr()
    assert (ended.value.exit_code, said.err) == (1, "")
    assert json.loads(said.out) == {"match": None, "error": "catalog sprots is not in the log"}


@pytest.mark.parametrize(("error", "code"), [(Irreplayable, 3), (NotInstalled, 3), (SettingsError, 1)])
def test_an_epoch_that_cannot_be_replayed_neither_matches_nor_differs(error, code: int, capsys):
    async def cannot(_broker, _settings):
        raise error("raw is gone")

    with pytest.raises(typer.Exit) as ended:
        on_broker("replay", cannot, True, NO_VERDICT, ENDINGS)
    assert ended.value.exit_code == code
    assert json.loads(capsys.readouterr().out) == {"match": None, "error": "raw is gone"}
