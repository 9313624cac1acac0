"""The libraries that the supervisor holds for services."""

import os
import subprocess
import sys

import pytest
from m0local.libraries import Libraries
from m0local.processes import SERVICES, module_of

HOLD = """
import importlib, os, sys, sysconfig
from m0local.libraries import Libraries
libraries = Libraries()
while libraries.hold_next():
    pass
assert libraries.fit(os.environ)
assert len(os.listdir("/proc/self/task")) == 1, "a library starts a thread"
ours = [name for name in sys.modules if name.split(".")[0].startswith("m0") and not name.startswith("m0local")]
assert not ours, ours
held = set(sys.modules)
place = sysconfig.get_path("purelib")
for main in sys.argv[1:]:
    child = os.fork()
    if not child:
        importlib.import_module(main)
        files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
        third = {name for name, file in files.items() if file.startswith(place)}
        print(main, len(third - held), len(third), sorted(third - held), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, main
"""
MAINS = sorted({name if "." in name else f"{name}.__main__" for name in map(module_of, SERVICES)})


@pytest.fixture(scope="module")
def imported():
    """By what a service begins with: how many libraries it imports besides those held, how many in all, and which."""
    done = subprocess.run(
        [sys.executable, "-c", HOLD, *MAINS], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())


def held(folder):
    libraries = Libraries(["colorsys"], [str(folder)])
    while libraries.hold_next():
        pass
    return libraries


@pytest.mark.parametrize("main", MAINS)
def test_they_are_nearly_all_that_a_service_imports_without_a_thread_or_code_of_ours(imported, main):
    more, whole, names = imported[main].split(maxsplit=2)
    assert int(more) <= int(whole) // 20, names


def test_they_fit_only_when_all_are_held(tmp_path):
    libraries = Libraries(["colorsys", "fractions"], [str(tmp_path)])
    assert not libraries.fit(os.environ)
    assert libraries.hold_next()
    assert not libraries.fit(os.environ)
    assert libraries.hold_next()
    assert libraries.fit(os.environ)
    assert not libraries.hold_next()


def test_one_that_cannot_be_imported_is_left_to_the_service_that_needs_it(tmp_path, monkeypatch):
    (tmp_path / "broken_library.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    libraries = Libraries(["broken_library", "missing_library"], [])
    assert [libraries.hold_next() for _ in range(3)] == [True, True, False]
    assert libraries.fit(os.environ)


def test_they_do_not_fit_once_something_was_installed_since(tmp_path):
    (tmp_path / "tool-1.0.dist-info").mkdir()
    libraries = held(tmp_path)
    assert libraries.fit(os.environ)
    (tmp_path / "tool-1.0.dist-info").rename(tmp_path / "tool-1.1.dist-info")
    assert not libraries.fit(os.environ)


def test_they_do_not_fit_an_interpreter_that_would_start_otherwise(tmp_path):
    libraries = held(tmp_path)
    assert libraries.fit({**os.environ, "M0_LOG_LEVEL": "debug"})
    assert not libraries.fit({**os.environ, "PYTHONPATH": "/elsewhere"})
