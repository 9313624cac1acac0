"""`m0 release`: what it prints, what it reads of images, and how it ends."""

import io
import json
import tarfile

import pytest
from catalog_world import CONTROL, RELEASE, World
from m0cli.release import app
from m0cli.release_view import plan_lines, rollout_json
from m0common.stream.groups import StageGroup
from m0lanes.domains import load_domains
from m0lanes.release import build_of
from m0replay.builds import Builds, installed_build
from m0replay.manifest_log import ManifestLog
from m0replay.rollout import Rollout
from typer.testing import CliRunner

STAGES = ("normalize", "feature", "model", "bundle")
NEW = "cd" * 32


def m0(*args, home, **env):
    return CliRunner().invoke(app, args, env={"M0_HOME": str(home), **env})


@pytest.mark.parametrize("command", ["id", "plan", "switch", "back", "finish"])
def test_every_command_has_help_and_json(command, tmp_path):
    done = m0(command, "--help", home=tmp_path)
    assert done.exit_code == 0
    assert "--json" in done.output


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["nonsense"], "No such command"),
        (["switch", "--yes"], "give --key FILE or set M0_CONTROL_KEY_FILE"),
        (["back", "--yes", "--key", "nowhere.json"], "there is no control key nowhere.json"),
        (["switch", "--timeout", "-1"], "--timeout"),
        (["finish", "v2"], "v2: give the 10 hex digits of a build, as `m0 release plan` shows them"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_is_wrong(args, sentence, tmp_path):
    done = m0(*args, home=tmp_path)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.replace("│", " ").split())


def test_the_id_is_the_one_of_the_consumer_groups(tmp_path):
    done = m0("id", home=tmp_path)
    assert done.stdout == f"{StageGroup.of('model', build_of(load_domains())).build}\n"
    said = json.loads(m0("id", "--json", home=tmp_path).stdout)
    assert said == {"id": done.stdout.strip(), "releases": installed_build()[1]}
    assert {"crypto", "sports"} <= said["releases"].keys()


def archive(folder, labels):
    """What `docker save` writes of an image, as far as it is read."""
    path = folder / "image.tar"
    with tarfile.open(path, "w") as tar:
        for name, value in (
            ("manifest.json", [{"Config": "config.json", "RepoTags": ["m0club/model:dev"]}]),
            ("config.json", {"config": {"Labels": labels}}),
        ):
            raw = json.dumps(value).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
    return path


def test_the_id_of_an_image_is_that_of_a_process_which_has_its_releases(tmp_path):
    build, releases = installed_build()
    value = ",".join(f"{name}={release}" for name, release in releases.items())
    done = m0("id", str(archive(tmp_path, {"club.m0.releases": value})), "--json", home=tmp_path)
    assert json.loads(done.stdout) == {"id": build, "releases": releases}


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (None, "has no label club.m0.releases: name one of lanes"),
        ({"club.m0.releases": "sports"}, "label club.m0.releases is 'sports', not DOMAIN=HASH,…"),
        ({"club.m0.releases": ""}, "label club.m0.releases is '', not DOMAIN=HASH,…"),
    ],
)
def test_an_image_that_says_nothing_of_releases_is_refused(labels, sentence, tmp_path):
    done = m0("id", str(archive(tmp_path, labels)), home=tmp_path)
    assert done.exit_code == 1
    assert sentence in done.stderr


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "file").write_text("no archive")
    done = m0("id", str(tmp_path / "file"), home=tmp_path)
    assert (done.exit_code, "is no docker archive of one image: make one by" in done.stderr) == (1, True)
    done = m0("id", "m0club/model:v1", home=tmp_path, PATH="")
    assert (done.exit_code, "there is no docker, podman, buildah here" in done.stderr) == (1, True)


async def looked(world, running=("old", "new"), release=NEW):
    states = ManifestLog(world.broker, world.deployment)
    desk = await world.desk(release)
    groups = [StageGroup(stage, build) for build in running for stage in STAGES]
    return Rollout(desk, states, Builds({"old": {RELEASE}, "new": {NEW}}, groups), "new")


async def test_a_plan_says_who_runs_what_is_named_and_what_to_do(tmp_path):
    world = World(tmp_path / "world")
    desk = await world.desk()
    await desk.put(desk.composed("sports"), CONTROL)
    await world.mark("sports", 7)
    rollout = await looked(world)
    assert plan_lines(rollout) == [
        "build new runs in normalize, feature, model, bundle: has cdcdcdcdcdcd, installed here",
        "build old runs in normalize, feature, model, bundle: has abababababab",
        "sports: generation 1 names release abababababab (build old)",
        "Next: `m0 release switch` names what is installed here: sports cdcdcdcdcdcd",
    ]
    assert rollout_json(rollout) == {
        "here": "new",
        "builds": [
            {"id": "new", "stages": list(STAGES), "releases": [NEW]},
            {"id": "old", "stages": list(STAGES), "releases": [RELEASE]},
        ],
        "catalogs": [
            {
                "catalog": "sports",
                "generation": 1,
                "release": RELEASE,
                "waits": False,
                "installed": NEW,
                "builds": ["old"],
                "due": True,
                "fault": None,
            }
        ],
    }
    alone = plan_lines(await looked(world, ["old"]))
    assert alone[1] == "build new is installed here and runs in no stage"
    assert alone[-1].startswith(f"no build that is known to have release {NEW} of catalog sports runs in normalize, ")
    (step,) = rollout.switches()
    await rollout.desk.put(step.plan.payload, CONTROL, [NEW])
    waiting = plan_lines(await looked(world))
    assert waiting[-2] == "sports: generation 2 waits for its marker with release cdcdcdcdcdcd (build new)"
    assert waiting[-1].startswith("Every catalog names what is installed here")
