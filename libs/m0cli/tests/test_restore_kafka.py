"""`m0 backup restore kafka`: what it says, and what it asks for."""

from pathlib import Path

import pytest
from m0cli.main import app
from m0cli.restore_kafka import Done, done_json, done_lines
from m0deploy.restore_log import RestoredLog, note
from typer.testing import CliRunner

LOG = RestoredLog("the-cluster", 1_700_000_000_000, 1234, (5, 0, 7), 2500)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_nothing_is_written_where_nobody_can_be_asked(options):
    done = CliRunner().invoke(app, ["backup", "restore", "kafka", *options])
    assert done.exit_code == 2
    assert "nothing is done without --yes" in done.output


def test_it_says_how_lanes_go_on():
    said = done_lines(Done(LOG, ["crypto", "sports"], Path("deployment.json"), True)).splitlines()
    assert said[0] == "log of cluster the-cluster up to 2023-11-14 22:13:20 UTC: 1234 records in 2.5 s"
    assert said[1] == "M0_KAFKA_RESTORED_ENDS=5,0,7"
    assert said[2].startswith("  noted in deployment.json")
    assert said[-2:] == ["  m0 lane rebase crypto --yes", "  m0 lane rebase sports --yes"]
    assert "tell it to every service" in done_lines(Done(LOG, [], None, False))
    assert done_json(Done(LOG, ["crypto"], None, False))["restored_ends"] == "5,0,7"


def test_a_record_that_cannot_be_written_is_no_failure(tmp_path):
    assert note(tmp_path / "deployment.json", (5, 0))
    assert not note(tmp_path / "nowhere" / "deployment.json", (5, 0))
