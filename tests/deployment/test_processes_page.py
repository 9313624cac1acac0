"""docs/operations/processes.md says which tasks each process has, and which of them may fail alone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from deployed import SERVICES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations" / "processes.md"
SOURCES = {name: sorted((ROOT / f"services/{name}/src").rglob("*.py")) for name in SERVICES}
ENDS, ALONE = {"task", "begin_loop", "run_stage"}, {"side", "alone"}
"""Calls that begin a task whose failure ends the process, and those for one that may fail alone."""


def begun(name: str, calls: set[str]) -> set[str]:
    """The names of tasks that the code of a process begins by `calls`; what is found out later is `…`."""
    trees = [ast.parse(source.read_text("utf-8")) for source in SOURCES[name]]
    return {found for tree in trees for found in names(tree, calls)}


def names(tree: ast.AST, calls: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name(id="process"), attr=called) if called in calls:
                yield said(node.args[0])
            case ast.Name(id="run_stage") if "run_stage" in calls:
                yield said(node.args[0])
            case ast.Name(id="begin_loop") if "begin_loop" in calls:
                yield said(node.args[1])


def said(name: ast.expr) -> str:
    """A task's name as the page says it."""
    match name:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in parts)
    raise AssertionError(f"{ast.unparse(name)} is no name that a reader of the code can see: write it out")


def rows() -> dict[str, list[set[str]]]:
    """Process to the names in its other cells."""
    lines = [line.strip("|").split("|") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = {line[0].strip(): [set(re.findall("`([^`]+)`", cell)) for cell in line[1:3]] for line in lines}
    return {name: found for name, found in cells.items() if name in SOURCES}


def test_the_page_names_the_tasks_of_every_process_and_which_may_fail_alone():
    assert rows() == {name: [begun(name, ENDS), begun(name, ALONE)] for name in SOURCES}
