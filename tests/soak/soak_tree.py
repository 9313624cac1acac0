"""A second build: the source tree copied, changed, and run in place of the installed one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e_stack import ROOT, Stack


class Tree:
    """A copy of the sources; every package is taken from it by PYTHONPATH, before those that are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for name in filter(None, names.decode().split("\0")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target, follow_symlinks=False)
        sources = [*folder.glob("libs/*/src"), *folder.glob("services/*/src"), *folder.glob("infra/*/src")]
        self.env = {"PYTHONPATH": os.pathsep.join(map(str, sorted(sources)))}

    def edit(self, name: str, text: str) -> None:
        """Append to a file."""
        with (self.folder / name).open("a") as file:
            file.write(text)

    @contextmanager
    def runs(self, stack: Stack, **ports: int) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
        """Run services of this tree beside those of the stack, each with a port for its health."""
        made: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name, port in ports.items():
                made[name] = self.start(stack, name, port)
            yield made
        finally:
            for process in made.values():
                process.terminate()
            for process in made.values():
                process.wait(20)

    def start(self, stack: Stack, name: str, port: int, **told: str) -> subprocess.Popen[bytes]:
        """Start one service, named as its module is."""
        return start(stack, self.folder, name, port, **self.env, **told)


def start(stack: Stack, folder: Path, name: str, port: int, **told: str) -> subprocess.Popen[bytes]:
    """Start a service beside those of a stack, in a folder; its health is at a port, its log beside theirs."""
    env = stack.env | stack.credentials(told.get("M0_SIGNER_NAME", name)) | told
    env |= {"M0_STACK_HOME": str(stack.home), "M0_PROMETHEUS_BIND": f"127.0.0.1:{port}"}
    with (stack.home / "logs" / f"second-{name}.log").open("ab") as log:
        command = [sys.executable, "-m", "m0local.launch", f"m0_{name}"]
        return subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)
