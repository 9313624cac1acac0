"""Which running services hold older domains than are installed."""

from m0local import builds

RUNNING = ["kafka", "ingest", "normalize", "feature", "api", "signer-3"]


def test_services_that_nobody_noted_hold_older_domains_for_all_we_know(tmp_path):
    assert builds.older(tmp_path / "builds.json", RUNNING, "aa") == ["ingest", "normalize", "feature", "signer-3"]


def test_what_started_with_the_installed_build_is_left_alone(tmp_path):
    file = tmp_path / "builds.json"
    builds.note(file, RUNNING, "aa")
    assert builds.older(file, RUNNING, "aa") == []
    assert builds.older(file, RUNNING, "bb") == ["ingest", "normalize", "feature", "signer-3"]
    builds.note(file, ["normalize"], "bb")
    assert builds.older(file, RUNNING, "bb") == ["ingest", "feature", "signer-3"]
    assert builds.older(file, ["normalize", "api"], "bb") == []


def test_a_file_that_was_cut_off_tells_nothing(tmp_path):
    file = tmp_path / "builds.json"
    file.write_text('{"normalize": "a')
    assert builds.older(file, ["normalize"], "aa") == ["normalize"]
    builds.note(file, ["normalize"], "aa")
    assert builds.older(file, ["normalize"], "aa") == []
