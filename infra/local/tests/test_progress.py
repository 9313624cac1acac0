"""What a long command says of itself, and to whom."""

import subprocess
import sys

WORK = """
import sys
from pathlib import Path
from m0local.progress import Lasting, reporter
console = Lasting()
with reporter(console) as report:
    report.step("Start the servers")
    sys.stdin.read()
    for number in range(100):
        report.step(f"Start service {number}")
    report.say("[all of them]")
Path(sys.argv[1]).touch()
Lasting().print("Ready.")
print("API")
"""


def work(tmp_path):
    command = [sys.executable, "-c", WORK, str(tmp_path / "done")]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_behind_a_pipe_every_step_is_a_line(tmp_path):
    said, errors = work(tmp_path).communicate(timeout=60)
    assert said.splitlines()[:2] == ["Start the servers", "Start service 0"]
    assert said.splitlines()[-3:] == ["[all of them]", "Ready.", "API"]
    assert errors == ""


def test_a_pipe_that_nobody_reads_any_more_stops_no_work(tmp_path):
    process = work(tmp_path)
    assert process.stdout.readline() == "Start the servers\n"
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert (tmp_path / "done").exists()
