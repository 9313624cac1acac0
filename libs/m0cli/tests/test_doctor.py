"""`m0 doctor` where nothing is well: every box says so in one line, in its time, and none stops another."""

import json
import socket
import time
from contextlib import contextmanager

import pytest
from doctor_world import epoch_json, market_json, page, served, site
from m0cli.doctor import log, scrapes
from m0cli.doctor.boxes import BOXES, Box
from m0cli.doctor.command import as_object, summary
from m0cli.doctor.public import health, markets
from m0cli.doctor.run import looked, run
from m0cli.doctor.site import site_of
from m0cli.doctor.verdict import fails, holds, not_applicable, not_built
from m0cli.main import app
from m0common.errors import SettingsError, Unavailable
from m0common.rights import Right
from m0common.secret import Secret
from m0common.settings import Archive, Settings
from m0common.settings import Kafka as KafkaSettings
from m0common.stream.groups import StageGroup
from m0common.topics import TOPICS
from m0kafka.plan import Plan
from m0kafka.wanted import Wanted
from m0replay.builds import Builds
from typer.testing import CliRunner

pytestmark = pytest.mark.loopback

NAMES = (
    "health", "markets", "indexer_caught_up", "commit_reveal", "finalization", "replay_protection", "dashboard",
    "metrics", "alerts", "backups", "releases", "topics", "signers_funded",
)  # fmt: skip
TO_COME = {"dashboard", "alerts"}
BUCKETS_KEYS = ("access_key_id", "secret_access_key")
HTML = "<html><body>It works!</body></html>"


@contextmanager
def absent():
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def silent():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def answering(every):
    @contextmanager
    def opened():
        with served(every=every) as server:
            yield server.url

    return opened


ILL = {
    "absent": absent,
    "silent": silent,
    "HTML": answering((200, HTML)),
    "500": answering((500, HTML)),
    "nonsense": answering({"items": 7, "jsonrpc": "2.0", "result": []}),
}


def test_the_boxes_have_their_names_and_order():
    assert tuple(box.name for box in BOXES) == NAMES


@pytest.mark.parametrize("kind", ILL)
async def test_servers_that_are_ill_make_their_boxes_false_in_time_and_without_a_trace(kind):
    with ILL[kind]() as address:
        ill = site(
            address, address, oracle="11111111111111111111111111111112", metrics=(f"{address}/metrics",), kafka=True,
            settings=Settings(
                kafka=KafkaSettings(bootstrap=address.removeprefix("http://"), request_timeout_ms=1000),
                archive=Archive(url="s3://m0-archive", endpoint=address, **dict.fromkeys(BUCKETS_KEYS, Secret("x"))),
            ),
        )  # fmt: skip
        began = time.monotonic()
        boxes = [box._replace(within_s=8.0) for box in BOXES]
        said = {name: verdict async for name, verdict in run(ill, boxes)}
    assert time.monotonic() - began < 110
    assert {name for name, verdict in said.items() if verdict.ok is None} == TO_COME
    assert {name for name, verdict in said.items() if verdict.ok} == set()
    for name in set(NAMES) - TO_COME:
        evidence = said[name].evidence
        assert "\n" not in evidence
        assert "at fault" not in evidence, (name, evidence)
        assert "Traceback" not in evidence


async def test_with_an_api_and_a_node_alone_boxes_that_need_more_are_not_applicable():
    with absent() as address:
        said = {name: verdict async for name, verdict in run(site(address, address), BOXES)}
    needs_more = {"backups", "metrics", "releases", "topics"}
    assert {name for name, verdict in said.items() if verdict.ok is None} == {*TO_COME, *needs_more}
    assert "M0_ARCHIVE_URL" in said["backups"].evidence
    assert "M0_KAFKA_BOOTSTRAP" in said["topics"].evidence
    assert "M0_METRICS_URLS" in said["metrics"].evidence
    assert address in said["health"].evidence
    assert "M0_API_BASE" in said["health"].evidence


@pytest.mark.parametrize("error", [Unavailable("it\nis away"), ValueError("\n"), RecursionError(), KeyError("x")])
async def test_whatever_one_box_raises_is_its_verdict_and_the_others_run(error):
    async def raises(_):
        raise error

    async def well(_):
        return holds("well")

    said = [(name, each) async for name, each in run(site(), [Box("a", raises), Box("b", well)])]
    assert [(name, verdict.ok) for name, verdict in said] == [("a", False), ("b", True)]
    assert "\n" not in said[0][1].evidence
    assert said[0][1].evidence


async def test_a_box_that_hangs_is_cut_off():
    async def hangs(_):
        import asyncio

        await asyncio.Event().wait()

    verdict = await looked(Box("a", hangs, 0.1), site())
    assert (verdict.ok, "after 0 s" in verdict.evidence) == (False, True)
    verdict = await looked(Box("a", hangs, 0.1, watches=True), site(wait_s=1.0))
    assert "after 1 s" in verdict.evidence


def test_the_last_line_counts():
    said = [holds("")] * 9 + [fails("")] * 2 + [not_built("")] * 2
    assert summary(said) == "9 of 11 boxes hold, 2 not built"
    assert summary([holds(""), not_applicable("")]) == "1 of 1 boxes hold, 1 not applicable"
    assert as_object([("a", holds("x")), ("b", not_built("y"))]) == {
        "ok": True,
        "checks": [{"name": "a", "ok": True, "evidence": "x"}, {"name": "b", "ok": None, "evidence": "not built: y"}],
    }
    assert as_object([("a", fails("x"))])["ok"] is False


def m0(*args, **env):
    told = {"M0_API_BASE": None, "M0_RPC_URL": None, "M0_CONFIG_PATH": None, "M0_METRICS_URLS": None} | env
    return CliRunner().invoke(app, ["doctor", "--wait", "0", *args], env=told)


def test_the_command_says_every_box_and_exits_with_1():
    with absent() as address:
        text = m0(M0_API_BASE=address, M0_RPC_URL=address)
        found = m0("--json", "--api", address, "--rpc", address)
    assert (text.exit_code, found.exit_code) == (1, 1)
    assert [line[6:].split()[0] for line in text.stdout.splitlines()[:-1]] == list(NAMES)
    assert text.stdout.splitlines()[-1] == "0 of 7 boxes hold, 2 not built, 4 not applicable"
    assert text.stderr == found.stderr == ""
    answer = json.loads(found.stdout)
    assert (answer["ok"], [each["name"] for each in answer["checks"]]) == (False, list(NAMES))


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"M0_METRICS_URLS": "ingest:9464"}, "M0_METRICS_URLS: 'ingest:9464': write an address like"),
        ({"M0_CONFIG_PATH": "/nowhere.toml"}, "settings file /nowhere.toml does not exist"),
        ({"M0_RPC_URL": "ftp://x"}, "M0_RPC_URL"),
    ],
)
def test_wrong_use_is_one_sentence_and_exits_with_2(env, sentence):
    done = m0(**({"M0_API_BASE": "http://127.0.0.1:1"} | env))
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_site_is_what_the_environment_names_and_no_more(monkeypatch, tmp_path):
    for name in ("M0_CONFIG_PATH", "M0_KAFKA_BOOTSTRAP", "M0_METRICS_URLS", "M0_ENV", "M0_RPC_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("M0_API_BASE", "https://api.example/")
    bare = site_of(None, None, None, 0)
    assert (bare.api, bare.rpc, bare.oracle, bare.kafka, bare.metrics) == ("https://api.example", None, None, False, ())
    file = tmp_path / "prod.toml"
    file.write_text(
        '[kafka]\nbootstrap = "REPLACE: host:port"\n[solana]\nrpc_url = "REPLACE: M0_RPC_URL_FILE"\n'
        '[deployment]\noracle_program_id = "REPLACE: base58"\n[catalogs.sports]\n'
    )
    monkeypatch.setenv("M0_CONFIG_PATH", str(file))
    waiting = site_of(None, None, None, 0)
    assert (waiting.rpc, waiting.oracle, waiting.kafka) == (None, None, False)
    assert list(waiting.settings.catalogs) == ["sports"]
    (tmp_path / "rpc").write_text("https://node.example/key\n")
    monkeypatch.setenv("M0_RPC_URL_FILE", str(tmp_path / "rpc"))
    monkeypatch.setenv("M0_KAFKA_BOOTSTRAP", "kafka:9092")
    monkeypatch.setenv("M0_METRICS_URLS", "http://ingest:9464, http://api:8080/metrics")
    told = site_of(None, None, "Prog", 0)
    assert (told.rpc.reveal(), told.kafka, told.oracle) == ("https://node.example/key", True, "Prog")
    assert told.metrics == ("http://ingest:9464/metrics", "http://api:8080/metrics")
    assert site_of(None, "http://other:1", None, 0).rpc.reveal() == "http://other:1"
    monkeypatch.setenv("M0_KAFKA_BOOTSTRAP", "nonsense")
    with pytest.raises(SettingsError, match="M0_KAFKA_BOOTSTRAP"):
        site_of(None, None, None, 0)


WELL = {"status": "ok", "service": "api", "problems": {}, "notes": {}, "facts": {}}


async def test_health_is_both_routes_and_no_note():
    with served({"/health": WELL, "/ready": WELL}) as api:
        assert (await health(site(api.url))).ok
        api.answers["/ready"] = (503, WELL | {"status": "unavailable", "problems": {"postgres": "it is away"}})
        verdict = await health(site(api.url))
        assert (verdict.ok, "postgres: it is away" in verdict.evidence) == (False, True)
        api.answers["/ready"] = WELL | {"status": "degraded", "notes": {"schema": "it is old"}}
        verdict = await health(site(api.url))
        assert (verdict.ok, "schema: it is old" in verdict.evidence) == (False, True)


async def test_every_catalog_of_the_settings_has_markets():
    def listed(query):
        return page(market_json(), market_json("EPL_2", "DEPRECATED")) if query.get("catalog") != ["crypto"] else page()

    with served({"/v1/markets": listed}) as api:
        assert (await markets(site(api.url))).evidence == "sports 2, 1 of them active"
        settings = Settings.model_validate({"catalogs": {"sports": {}, "crypto": {}}})
        verdict = await markets(site(api.url, settings=settings))
        assert (verdict.ok, "no market of crypto" in verdict.evidence) == (False, True)
        api.answers["/v1/markets"] = page()
        assert (await markets(site(api.url))).ok is False


OURS = '# TYPE m0_process_build gauge\nm0_process_build{service="%s",version="0.1.0"} 1.0\n'


async def test_metrics_are_those_of_our_processes_and_the_apis():
    with served({"/metrics": OURS % "api"}) as api, served({"/metrics": OURS % "ingest"}) as ingest:
        verdict = await scrapes.metrics(site(api.url, metrics=(f"{ingest.url}/metrics",)))
        assert verdict.evidence == "2 processes scrape: 2 of version 0.1.0"
        ingest.answers["/metrics"] = "go_goroutines 7\n"
        verdict = await scrapes.metrics(site(api.url, metrics=(f"{ingest.url}/metrics",)))
        assert (verdict.ok, f"{ingest.url}/metrics has no m0_process_build" in verdict.evidence) == (False, True)
        ingest.answers["/metrics"] = HTML
        assert (await scrapes.metrics(site(api.url, metrics=(f"{ingest.url}/metrics",)))).ok is False
        api.answers["/metrics"] = (404, "")
        ingest.answers["/metrics"] = OURS % "ingest"
        assert (await scrapes.metrics(site(api.url, metrics=(f"{ingest.url}/metrics",)))).ok is False
        ingest.answers["/metrics"] = OURS % "api"
        assert (await scrapes.metrics(site(api.url, metrics=(f"{ingest.url}/metrics",)))).ok


STAGES = ("normalize", "feature", "model", "bundle")


def test_a_release_is_run_when_every_stage_has_a_manned_build_of_it():
    named = [log.Named("sports", "aa"), log.Named("crypto", "bb")]
    manned = [StageGroup(stage, "one") for stage in STAGES]
    second = StageGroup("model", "two")
    known = {"one": {"aa", "bb"}, "two": {"bb"}}
    assert log.judged(named, Builds(known, manned)).ok
    verdict = log.judged(named, Builds(known, [*manned[:2], second, manned[3]]))
    assert (verdict.ok, verdict.evidence.partition(":")[0]) == (False, "model of sports")
    # what takes over later may be in a build that is waiting and has said nothing
    due = [*named, log.Named("sports", "cc", due=True)]
    assert log.judged(due, Builds(known, manned)).ok is False
    assert log.judged(due, Builds(known, [*manned, *(StageGroup(stage, "new") for stage in STAGES)])).ok
    assert log.judged([], Builds(known, manned)).ok is None


async def test_what_is_final_only_on_chain_is_not_asked_of_an_api_that_shows_no_catalog():
    with served({"/v1/markets": page(), "/v1/epochs": page()}) as api, absent() as nowhere:
        verdict = await looked(next(box for box in BOXES if box.name == "commit_reveal"), site(api.url, nowhere))
    assert (verdict.ok, "name a catalog" in verdict.evidence) == (False, True)


def test_an_epoch_of_the_world_is_one_that_the_client_reads():
    import msgspec
    from m0client.models import Epoch, Market

    assert msgspec.convert(epoch_json(3), Epoch).status == "finalized"
    assert msgspec.convert(market_json(), Market).state == "ACTIVE"


def test_rights_that_are_only_left_over_are_a_note_and_missing_ones_a_failure():
    wanted = Wanted.of(KafkaSettings(security_protocol="SASL_SSL", username="operator", password="secret"))
    right = Right("model", "topic", "m0.raw.v1", "READ")
    well = f"{len(TOPICS)} topics and {len(wanted.rights)} rights are as they should be"
    assert log.judged_topics(wanted, Plan()) == holds(well)
    left = log.judged_topics(wanted, Plan(revoke=(right,)))
    assert left.ok
    assert f"left over: revoke {right}: `m0 topics apply` takes it away, once no older version runs" in left.evidence
    missing = log.judged_topics(wanted, Plan(grant=(right,), revoke=(right,)))
    assert missing.ok is False
    assert missing.evidence == f"to be done: grant {right}: run `m0 topics apply` as an administrator"
