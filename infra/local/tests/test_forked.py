"""Services that are forked from the supervisor are the programs they would be if they were started."""

import json
import os
import signal
import subprocess
import sys

import pytest
from m0local.launch import HOME_MARK

FORK = """
import atexit, os, signal, sys
from m0local.forked import become
atexit.register(print, "the supervisor ends", flush=True)
for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT):
    signal.signal(number, lambda *_: None)
pid = os.fork()
if pid == 0:
    become("toy", {"PATH": os.environ["PATH"], "TOY": "yes"})
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)
"""

BEGIN = """
import os, sys
from m0local.launch import launch_command
from m0local.libraries import Libraries
from m0local.supervise import Options
options = Options()
options.libraries = Libraries(["colorsys"])
while options.libraries.hold_next():
    pass
options.execve(sys.executable, launch_command("toy"), {**os.environ, **eval(sys.argv[1])})
"""


def run(tmp_path, toy, script, *args, **env):
    """`script` where `toy` is a module that can be imported."""
    (tmp_path / "toy.py").write_text(toy)
    return subprocess.run(
        [sys.executable, "-c", script, *args],
        env={**os.environ, "PYTHONPATH": str(tmp_path), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_sees_its_own_name_environment_and_command_line(tmp_path):
    toy = """if True:
        import json, os, sys
        command = open("/proc/self/cmdline").read().rstrip("\\0").split("\\0")
        here = sys.modules["__main__"].__dict__ is globals()
        print(json.dumps([__name__, here, sys.argv[1:], dict(os.environ), command]))
    """
    done = run(tmp_path, toy, FORK)
    name, main, args, env, command = json.loads(done.stdout)
    assert (name, main, args) == ("__main__", True, [])
    assert env == {"PATH": os.environ["PATH"], "TOY": "yes"}
    assert command == [sys.executable, "-m", "toy"]


@pytest.mark.parametrize(
    ("toy", "code", "said"),
    [
        ("pass", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no key')", 1, "no key\n"),
        ("raise ValueError('odd')", 1, "ValueError: odd\n"),
    ],
)
def test_it_ends_with_the_code_and_the_words_of_a_program(tmp_path, toy, code, said):
    done = run(tmp_path, toy, FORK)
    assert done.returncode == code
    assert done.stderr.endswith(said)
    assert bool(done.stderr) == bool(said)


def test_its_own_exit_functions_run_and_not_those_of_the_supervisor(tmp_path):
    done = run(tmp_path, "import atexit; atexit.register(print, 'the service ends')", FORK)
    assert done.stdout == "the service ends\n"


def test_its_threads_are_waited_for(tmp_path):
    toy = "import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('done'))).start()"
    assert run(tmp_path, toy, FORK).stdout == "done\n"


def test_a_signal_ends_it_although_the_supervisor_handles_that(tmp_path):
    done = run(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGTERM); print('alive')", FORK)
    assert done.returncode == -signal.SIGTERM % 256
    assert done.stdout == ""


@pytest.mark.parametrize(("told", "forked"), [({}, True), ({"PYTHONHASHSEED": "1"}, False)])
def test_it_is_forked_where_its_interpreter_would_start_alike_and_started_where_not(tmp_path, told, forked):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "environment.json").write_text('{"COMMON": "1"}')
    toy = "import os, sys; print('m0local.supervise' in sys.modules, os.environ['COMMON'], os.environ['MINE'])"
    done = run(tmp_path, toy, BEGIN, repr({"MINE": "2", **told}), **{HOME_MARK: str(tmp_path)})
    assert done.stdout == f"{forked} 1 2\n", done.stderr
