"""The part of `make up` that runs before there is an environment: what it says when something is wrong."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "bootstrap.py"


@pytest.fixture
def bootstrap():
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("error: Failed to fetch: `…`\n  Caused by: dns error: failed to lookup address", "network"),
        ("WARNING: Retrying … NewConnectionError\nERROR: No matching distribution found for uv", "network"),
        ("error: No space left on device (os error 28)", "disk is full"),
        ("error: Hash mismatch for `rich==15.0.0`", "do not use it"),
        ("x No solution found … has no wheels with a matching Python ABI tag", "glibc"),
        ("mkdir: Permission denied (os error 13)", "user who owns"),
        ("something else entirely", "something else entirely"),
    ],
)
def test_each_failure_of_a_tool_becomes_one_sentence_with_a_remedy(bootstrap, output, remedy):
    said = bootstrap.explain("Install the packages", output)
    assert remedy in said
    assert "\n" not in said


def test_an_old_python_is_named_with_the_package_to_install(bootstrap, monkeypatch):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    with pytest.raises(bootstrap.Failure, match=r"3\.9\.2.*python3\.11-venv"):
        bootstrap.find_python()


def test_a_newer_python_on_the_path_is_taken_instead_of_an_old_one(bootstrap, monkeypatch):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "python3.12" else None)
    assert bootstrap.find_python() == "/usr/bin/python3.12"


def test_a_missing_venv_module_is_named_with_the_package_to_install(bootstrap, monkeypatch, tmp_path):
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / "none")
    monkeypatch.setattr(bootstrap, "UV", tmp_path / "none")
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(bootstrap.Failure, match=r"apt install python3\.\d+-venv"):
        bootstrap.ensure_venv()


@pytest.mark.parametrize(
    ("cafile", "found", "wanted"), [("ca.pem", [], "true"), (None, ["a.0"], "true"), (None, [], None)]
)
def test_uv_trusts_the_authorities_of_the_machine_when_it_has_any(
    bootstrap, monkeypatch, tmp_path, cafile, found, wanted
):
    paths = bootstrap.ssl.get_default_verify_paths()._replace(cafile=cafile, capath=str(tmp_path))
    for name in found:
        (tmp_path / name).touch()
    monkeypatch.setattr(bootstrap.ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(bootstrap.os, "environ", {})
    bootstrap.trust_system_certificates()
    assert bootstrap.os.environ.get("UV_SYSTEM_CERTS") == wanted


def test_a_full_disk_is_noticed_before_anything_is_downloaded(bootstrap, monkeypatch, tmp_path):
    monkeypatch.setattr(bootstrap, "UV", tmp_path / "none")
    monkeypatch.setattr(bootstrap, "NEED_BYTES", 1 << 60)
    with pytest.raises(bootstrap.Failure, match="free some space"):
        bootstrap.check_disk()


def test_uv_is_pinned_by_hash_and_no_lock_names_a_host(bootstrap):
    requirement = bootstrap.uv_requirement()
    assert requirement.startswith("uv==")
    assert "--hash=sha256:" in requirement
    for lock in bootstrap.LOCKS.values():
        assert "://" not in lock.read_text()


def test_what_runs_is_a_part_of_what_developers_have(bootstrap):
    def pins(path):
        return {line.split()[0] for line in path.read_text().splitlines() if not line.startswith((" ", "#"))}

    assert pins(bootstrap.LOCKS["runtime"]) < pins(bootstrap.LOCKS["dev"])


def test_the_environment_changes_when_a_package_declares_something_new(bootstrap, monkeypatch, tmp_path):
    before = bootstrap.digest("runtime")
    monkeypatch.setattr(bootstrap, "workspace", lambda: [Path(__file__).parents[1]])
    assert bootstrap.digest("runtime") != before
    assert bootstrap.digest("runtime") != bootstrap.digest("dev")


def test_wrong_use_prints_how_to_use_it_and_exits_2():
    done = subprocess.run([sys.executable, SCRIPT, "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "bootstrap.py runtime|dev" in done.stderr
