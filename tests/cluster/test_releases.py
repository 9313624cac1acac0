"""Two versions of the lanes side by side: the log goes over to the second one at a marker, and comes back."""

import json
import subprocess
import sys

import pytest
from changed_images import build_id, change
from cluster_world import IN_TOOLBOX, ROOT, takes_its_time
from under_load import expired, loaded, newest

pytestmark = [pytest.mark.timeout(2400), takes_its_time]
NEW = "v2"
CHANGED = "guardrails.py"


def told(builds, moved=()):
    """How Helm is told which versions of the lanes there are, and which signers are of the new one."""
    tags = dict.fromkeys(moved, NEW)
    return "--set-json", f"releases={json.dumps(builds)}", "--set-json", f"signer.tags={json.dumps(tags)}"


def install(release, builds, moved=(), *more):
    done = release.upgrade(*told(builds, moved), *more)
    assert done.returncode == 0, done.stderr


def roll(release, verb, builds, moves):
    """`m0 release switch` or `back`; when it asks for it the other signers are moved, one behind the other."""
    command = ("kubectl", "-n", release.namespace, *IN_TOOLBOX, "m0", "release", verb, "--yes")
    env = release.cluster.env
    said, left = [], list(moves)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line)
            while left and line.startswith("Now start each signer again"):
                install(release, builds, left.pop(0), "--no-hooks")
                m0 = (sys.executable, "-m", "m0cli.main", "signers", "roll", "--namespace", release.namespace)
                release.cluster(*m0)
    assert process.returncode == 0, "".join(said)
    assert not left


def complete(release):
    """The builds that run in all stages of the lanes, as their groups say."""
    builds = json.loads(release.m0("release", "plan", "--json"))["builds"]
    return {each["id"] for each in builds if len(each["stages"]) == 4}


def test_a_release_is_switched_at_a_marker_and_taken_back(release):
    text = (ROOT / "libs/m0domains/src/m0domains/sports" / CHANGED).read_text()
    change(release.cluster, NEW, "m0domains", f"sports/{CHANGED}", f"{text}# the same in other bytes\n")
    old, new = build_id("dev"), build_id(NEW)
    assert old != new
    alone = [{"tag": "dev", "id": old}]
    both = [*alone, {"tag": NEW, "id": new}]
    try:
        install(release, alone)
        before = newest(release)
        with loaded(release, "releases") as load:
            install(release, both, ["signer-1"])
            release.until(lambda: complete(release) == {old, new})
            roll(release, "switch", both, [["signer-1", "signer-2"], ["signer-1", "signer-2", "signer-3"]])
            between = release.final(after=release.final())
            # an epoch is replayed by the release that made it final: the toolbox has the newest while there are two
            release.matches(between)
            assert f"build {old} may go" in release.m0("release", "finish")

            install(release, both, ["signer-2", "signer-3"])
            roll(release, "back", both, [["signer-3"], []])
            after = release.final(after=release.final())
            assert f"build {new} may go" in release.m0("release", "finish", new)
            install(release, alone)
            last = release.final(after=after)
            report = load.report()
    finally:
        done = release.upgrade()
    assert done.returncode == 0, done.stderr
    assert report["failed"] == []
    assert report["answered"].keys() == {"200"}
    assert report["gaps"] == []
    print(f"epochs that expired: {expired(release, before) or 'none'}")
    release.matches(before["sports"], after, last)
