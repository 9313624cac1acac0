"""compose.dev.yml on a real engine: it comes up, epochs become final, crashes lose nothing, and it goes."""

import json
import os
import re
import tarfile

import httpx2
import locks
import pytest
from compose_world import SLOW_S
from m0local.processes import SERVICES
from websockets.sync.client import connect

pytestmark = pytest.mark.timeout(1200)
SMOKE = bool(os.environ.get("SMOKE"))
"""A part of it, as every run of the checks does."""
SMOKE_KILLS = ("kafka", "postgres", "normalize", "signer-1", "api")


def test_it_comes_up_by_itself_and_what_it_finalizes_can_be_replayed(deployment):
    assert set(SERVICES) < set(deployment.containers())
    epoch = deployment.final()
    assert deployment.m0("replay", "sports", str(epoch)).startswith(f"MATCH sports epoch {epoch} ")
    assert deployment.m0("topics", "check") == "Everything is as it should be.\n"


def test_the_guides_questions_are_answered(deployment):
    assert deployment.get("/health").json()["status"] == "ok"
    assert deployment.get("/markets?limit=1").json()["items"]
    stream = f"127.0.0.1:{deployment.ports['M0_STREAM_PORT']}"
    assert httpx2.get(f"http://{stream}/health", timeout=10).json()["status"] == "ok"
    with connect(f"ws://{stream}/ws", open_timeout=10) as socket:
        socket.send('{"op":"ping","id":3}')
        assert json.loads(socket.recv(timeout=10)) == {"op": "pong", "id": 3}


def test_bootstrap_has_nothing_to_do_again(deployment):
    assert deployment.compose("run", "--rm", "-T", "bootstrap") == "Everything is as it should be.\n"


def test_a_backup_is_made_and_the_archive_is_sound(deployment):
    deployment.final()
    made = deployment.compose("run", "--rm", "-T", "backup")
    assert "\nsound: " in made
    listed = json.loads(deployment.m0("backup", "list", "--json"))
    assert (len(listed["logs"]), len(listed["backups"])) == (1, 1)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_no_root_and_can_write_nothing_but_its_own_folder(deployment, name):
    found = deployment.engine.inspect(deployment.containers()[name])
    assert found["Config"]["User"] == "10001:10001"
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in found["HostConfig"]["SecurityOpt"]
    mounts = {mount["Destination"]: mount["RW"] for mount in found["Mounts"]}
    assert not any(writable for place, writable in mounts.items() if place.startswith("/srv/m0club"))
    assert ("/srv/m0club/control" in mounts) == (name == "warden")
    write = ("python3", "-c", "open('/opt/m0/x', 'w')")
    assert "Read-only file system" in deployment.engine.run("exec", found["Name"].strip("/"), *write).stderr


def test_the_file_builds_the_images_that_the_locks_describe(deployment):
    services = json.loads(deployment.compose("config", "--format", "json"))["services"]
    built = {service["image"]: service["build"]["args"] for service in services.values() if "build" in service}
    assert built.keys() == {f"m0club/{name}:dev" for name in locks.IMAGES}
    for image, arguments in built.items():
        name = arguments["IMAGE"]
        assert image == f"m0club/{name}:dev"
        assert arguments["MODULE"] == locks.IMAGES[name].module
        assert arguments["STANDS_ON"] == f"stands-on-{locks.stands_on(name)}"


def test_a_crash_of_any_containers_first_process_costs_time_and_nothing_else(deployment):
    before = deployment.final()
    for name, container in deployment.containers().items():
        if SMOKE and name not in SMOKE_KILLS:
            continue
        found = deployment.engine.inspect(container)
        # `docker kill` counts as told to stop, after which nothing is restarted; a crash comes from within the engine
        deployment.engine(
            "run", "--rm", "--pid", "host", "--user", "0", "--entrypoint", "python3", "m0club/m0:dev",
            "-c", f"import os; os.kill({found['State']['Pid']}, 9)",
        )  # fmt: skip
        deployment.until(lambda c=container, n=found["RestartCount"]: deployment.engine.inspect(c)["RestartCount"] > n)
        deployment.until(lambda c=container: health(deployment, c) == "healthy")
        print(f"{name}: killed and healthy again", flush=True)
    after = deployment.final(after=deployment.final() + 1)
    for epoch in (before, after):
        assert deployment.m0("replay", "sports", str(epoch)).startswith("MATCH")


def health(deployment, container):
    return deployment.engine.inspect(container)["State"]["Health"]["Status"]


def test_down_and_up_keep_everything(deployment):
    before = deployment.final()
    record = deployment.m0("config", "show", "--json")
    ours = {name: found for name, found in deployment.containers().items() if name in SERVICES}
    deployment.compose("stop", *ours)
    ended = {name: deployment.engine.inspect(container)["State"]["ExitCode"] for name, container in ours.items()}
    # one that does not drain within the grace period is killed, which is 137
    assert ended == dict.fromkeys(ours, 0)
    deployment.compose("down")
    assert deployment.containers() == {}
    deployment.up()
    assert deployment.m0("config", "show", "--json") == record
    assert deployment.m0("replay", "sports", str(before)).startswith("MATCH")
    assert deployment.final(after=before) > before


def test_down_with_volumes_leaves_nothing(deployment):
    deployment.compose("down", "--volumes")
    label = f"label=com.docker.compose.project={deployment.project}"
    for what in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
        assert deployment.engine(*what, "--quiet", "--filter", label) == ""


def test_in_a_signers_image_nothing_can_be_run_but_python(engine, images, tmp_path):
    container = engine("create", "m0club/signer:dev").strip()
    try:
        engine("export", container, "--output", str(tmp_path / "files.tar"))
    finally:
        engine("rm", container)
    with tarfile.open(tmp_path / "files.tar") as files:
        runs = {file.name for file in files if file.isfile() and file.mode & 0o111}
    # modules and what wheels say of themselves are no programs; the engine puts the rest into any container
    runs = {name for name in runs if not re.search(r"\.py$|\.so[.\d]*$|\.dist-info/", name)}
    assert runs - {".dockerenv", "dev/console", *(f"etc/{name}" for name in ("hosts", "hostname", "resolv.conf"))} == {
        "usr/bin/python3.11"
    }


@pytest.mark.parametrize("name", sorted(locks.IMAGES.keys() - {"m0", "localnet"}))
def test_an_image_alone_says_in_one_sentence_what_it_lacks(engine, images, name, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "m0.toml").write_text('env = "prod"\n[catalogs.sports]\n[kafka]\nbootstrap = "REPLACE: host:port"\n')
    mounted = ["-v", f"{tmp_path}:/etc/m0club/config:ro", "-e", "M0_CONFIG_PATH=/etc/m0club/config/m0.toml"]
    for told, sentence in (
        ([], "settings file config/dev.toml does not exist: name one of config/*.toml, by M0_CONFIG_PATH"),
        (mounted, ""),
    ):
        done = engine.run(
            "run", "--rm", "--read-only", "--network", "none", *told, f"m0club/{name}:dev", timeout=SLOW_S
        )
        said = done.stdout + done.stderr
        assert done.returncode == 2, said
        assert sentence in said
        assert len(said.splitlines()) == 1, said
