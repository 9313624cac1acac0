"""A rolling release on a running stack: a second build beside the first, the switch, the first one gone."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise

import e2e_log as log
import pytest
from e2e_stack import M0, ROOT, Stack
from m0local.ports import free_port
from soak_tree import Tree

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
STAGES = ("normalize", "feature", "model", "bundle")
SIGNERS = {"signer-1": "bundle", "signer-2": "bundle", "signer-3": "raw"}
CATALOG = "sports"
Running = dict[str, subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The sources with one more comment in a file that decides a leaf of one domain."""
    made = Tree(tmp_path_factory.mktemp("tree"))
    made.edit("libs/m0domains/src/m0domains/sports/features.py", "\n# another release of the same arithmetic\n")
    return made


@pytest.fixture(scope="module")
def second(stack: Stack, tree: Tree) -> Iterator[Running]:
    """The processes of the second build: its stages, running beside the stack's, and what a test adds."""
    with tree.runs(stack, **{name: free_port() for name in STAGES}) as made:
        yield made


def release(stack: Stack, **env: str) -> str:
    (entry,) = [e for e in json.loads(stack.m0("catalog", "list", "--json", env=env).stdout)["catalogs"]
                if e["catalog"] == CATALOG]  # fmt: skip
    return entry["release"]


def build(stack: Stack, **env: str) -> str:
    """The build that is installed in an environment."""
    return stack.m0("release", "id", env=env).stdout.strip()


def refused(stack: Stack, *args: str, **env: str) -> str:
    """The sentence with which `m0 release` refuses."""
    done = stack.m0("release", *args, env=env, check=False)
    assert done.returncode == 1, done.stdout
    return done.stderr


def rolled(stack: Stack, tree: Tree, command: str, move_signers: Callable[[], None]) -> int:
    """Let `m0 release` of the second build do it, and a signer's operator what is said to him; an epoch that is final
    behind it.
    """
    before = release(stack)
    told = [str(M0), "release", command, CATALOG, "--yes", "--json"]
    with subprocess.Popen(told, env=stack.env | tree.env, cwd=ROOT, stdout=-1, stderr=-1, text=True) as process:
        stack.wait("a marker that names the other release", lambda: release(stack) != before, 180)
        move_signers()
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    (said,) = json.loads(out)["catalogs"]
    return said["final_epoch"]


def to_second(stack: Stack, tree: Tree, second: Running) -> None:
    """A signer is one process: it changes its build between two votes."""
    for name, depth in SIGNERS.items():
        stack.stop(name)
        second[name] = tree.start(stack, "signer", free_port(), M0_SIGNER_NAME=name, M0_SIGNER_DEPTH=depth)


def to_first(stack: Stack, second: Running) -> None:
    for name in SIGNERS:
        process = second.pop(name)
        process.terminate()
        process.wait(30)
        stack.start(name)


def test_a_release_rolls_over_without_a_missed_or_a_doubled_epoch(stack: Stack, tree: Tree, second: Running):
    before = stack.goes_on(epochs=2)[CATALOG]
    old, here = release(stack), build(stack, **tree.env)
    assert build(stack) != here
    plan = stack.wait("the second build to run", lambda: planned(stack, tree), 120)
    assert {each["catalog"] for each in plan["catalogs"] if each["due"]} == {CATALOG}
    assert f"build {build(stack)} has to stay: generation" in refused(stack, "finish", **tree.env)
    assert json.loads(stack.m0("release", "switch", "--json", env=tree.env).stdout)["written"] is False
    assert release(stack) == old
    rolled(stack, tree, "switch", lambda: to_second(stack, tree, second))
    switched = stack.goes_on(epochs=3)[CATALOG]
    # a process of the old build that stood still over the switch says what it has to say behind it
    zombie = stack.status()["model"]["pid"]
    os.kill(zombie, signal.SIGSTOP)
    stack.goes_on([CATALOG], epochs=1)
    os.kill(zombie, signal.SIGCONT)
    assert json.loads(stack.m0("release", "finish", "--json", env=tree.env).stdout)["may_go"] == [build(stack)]
    stack.stop(*STAGES)
    after = stack.goes_on(epochs=3)
    stack.wait("a final epoch that all signers of the second build signed", lambda: signed(stack, before), 120)
    assert all(process.poll() is None for process in second.values())
    assert {row["release"] for row in lanes(stack)} == {release(stack)}
    assert f"release {old}" in refused(stack, "back", CATALOG, **tree.env)  # its build is stopped
    found = log.headers_of(stack.kafka, CATALOG)
    numbers = [number for number in sorted(found) if number >= before]
    assert all(b == a + 1 for a, b in pairwise(numbers)), numbers
    assert not any(found[number].missed for number in numbers)
    generations = [found[number].generation for number in numbers]
    assert generations == sorted(generations)
    across = next(n for n, generation in zip(numbers, generations, strict=True) if generation == generations[-1])
    assert before < across <= switched
    final = {epoch["epoch_id"] for epoch in stack.finalized(CATALOG, 100)}
    print(f"switched at {across}; not final: {[n for n in numbers if n <= after[CATALOG] and n not in final]}")
    stack.replays(CATALOG, before)
    stack.replays(CATALOG, across, env=tree.env)
    stack.replays(CATALOG, after[CATALOG], env=tree.env)
    stack.replays("crypto", after["crypto"])
    stack.replays("crypto", after["crypto"], env=tree.env)


def test_a_release_is_taken_back_and_named_again(stack: Stack, tree: Tree, second: Running):
    new, here = release(stack), build(stack, **tree.env)
    stack.start(*STAGES)
    stack.wait("the first build to run", lambda: build(stack) in builds(stack, tree), 120)
    back = rolled(stack, tree, "back", lambda: to_first(stack, second))
    assert release(stack) != new
    stack.replays(CATALOG, back)
    assert json.loads(stack.m0("release", "finish", here, "--json", env=tree.env).stdout)["may_go"] == [here]
    assert f"build {build(stack)} has to stay" in refused(stack, "finish", **tree.env)
    forth = rolled(stack, tree, "switch", lambda: to_second(stack, tree, second))
    assert (release(stack), back < forth) == (new, True)
    stack.replays(CATALOG, forth, env=tree.env)
    found = log.headers_of(stack.kafka, CATALOG)
    assert not any(found[number].missed for number in range(back, forth + 1) if number in found)
    stack.stop(*STAGES)


def planned(stack: Stack, tree: Tree) -> dict | None:
    """What `m0 release plan` says in the second build, once that build runs in all stages."""
    said = json.loads(stack.m0("release", "plan", "--json", env=tree.env).stdout)
    return said if not any(each["fault"] for each in said["catalogs"]) else None


def builds(stack: Stack, tree: Tree) -> set[str]:
    """The builds that run in all stages."""
    said = json.loads(stack.m0("release", "plan", "--json", env=tree.env).stdout)
    return {each["id"] for each in said["builds"] if each["stages"] == list(STAGES)}


def signed(stack: Stack, behind: int) -> bool:
    """Whether three signers revealed a newer epoch of the catalog."""
    newest = [epoch for epoch in stack.finalized(CATALOG, 5) if epoch["epoch_id"] > behind]
    return any(sum(signer["revealed"] for signer in epoch["signers"]) >= 3 for epoch in newest)


def lanes(stack: Stack) -> list[dict]:
    rows = json.loads(stack.m0("lane", "list", "--json").stdout)["lanes"]
    return [row for row in rows if row["catalog"] == CATALOG]


def test_a_release_that_nobody_runs_says_what_to_install_and_a_new_life_goes_on(
    stack: Stack, tree: Tree, second: Running
):
    stack.start(*STAGES)
    nobody = "5a" * 32
    stack.m0("catalog", "set", CATALOG, "--release", nobody, "--yes", env=tree.env)
    said = stack.wait(
        "somebody to say what is missing", lambda: (t := stack.report("normalize")) and nobody in t and t, 180
    )
    print(said)
    stack.goes_on(["crypto"], epochs=2)
    stack.m0("lane", "rebase", CATALOG, "--release", "installed", "--yes", env=tree.env)
    stack.m0("catalog", "set", CATALOG, "--yes", "--timeout", "0", env=tree.env)
    after = stack.goes_on(epochs=3)
    stack.replays(CATALOG, after[CATALOG], env=tree.env)
