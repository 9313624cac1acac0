"""Downloads of Kafka's jars: resumed, verified, and each way to fail says so in one sentence."""

import errno
import hashlib
import http.server
import threading
from functools import partial

import pytest
from m0local.errors import DiskFullError, DownloadError
from m0local.servers import jars
from m0local.servers.jars import Jar, ensure_jars, read_lock

BODY = bytes(range(256)) * 400


class Repository(http.server.BaseHTTPRequestHandler):
    """Serves BODY for every path, with ranges; `cut` closes the first answers half way."""

    def __init__(self, state, *args):
        self.state = state
        super().__init__(*args)

    def do_GET(self):
        self.state["requests"].append((self.path, self.headers.get("Range")))
        if self.state["status"] != 200:
            self.send_error(self.state["status"])
            return
        start = int(self.headers["Range"][6:-1]) if "Range" in self.headers else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        if self.state["cut"] > 0:
            self.state["cut"] -= 1
            self.wfile.write(self.state["body"][start : start + 1000])
            return
        self.wfile.write(self.state["body"][start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def repository(monkeypatch):
    state = {"requests": [], "status": 200, "cut": 0, "body": BODY}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Repository, state)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(jars.MIRROR_VARIABLE, f"http://127.0.0.1:{server.server_port}/repo/")
        monkeypatch.setattr(jars.time, "sleep", lambda _: None)
        yield state
        server.shutdown()


@pytest.fixture
def jar():
    return Jar("org.example", "thing", "1.0", hashlib.sha256(BODY).hexdigest(), len(BODY))


def test_the_committed_lock_is_complete_and_names_no_host():
    locked = read_lock()
    assert len(locked) == 45
    assert len({jar.file_name for jar in locked}) == 45
    assert {"kafka_2.13", "kafka-clients", "log4j-slf4j-impl"} <= {jar.artifact for jar in locked}
    assert "://" not in jars.LOCK_FILE.read_text()


def test_a_bad_line_of_the_lock_is_named(tmp_path):
    path = tmp_path / "jars.lock"
    path.write_text("# comment\norg.example:thing 00 1\n")
    with pytest.raises(ValueError, match=r"jars\.lock:2"):
        read_lock(path)


def test_a_jar_is_fetched_by_coordinates_and_only_once(repository, jar, tmp_path):
    (path,) = ensure_jars(tmp_path, [jar])
    assert path.read_bytes() == BODY
    assert ensure_jars(tmp_path, [jar]) == [path]
    assert repository["requests"] == [("/repo/org/example/thing/1.0/thing-1.0.jar", None)]


def test_an_interrupted_download_goes_on_where_it_stopped(repository, jar, tmp_path):
    repository["cut"] = 2
    (path,) = ensure_jars(tmp_path, [jar])
    assert path.read_bytes() == BODY
    assert [ranges for _, ranges in repository["requests"]] == [None, "bytes=1000-", "bytes=2000-"]


def test_the_part_file_of_an_earlier_run_is_continued(repository, jar, tmp_path):
    (tmp_path / "thing-1.0.part").write_bytes(BODY[:5000])
    ensure_jars(tmp_path, [jar])
    assert repository["requests"][0][1] == "bytes=5000-"


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * len(BODY)])
def test_a_damaged_jar_in_the_cache_is_fetched_again(repository, jar, tmp_path, damage):
    (tmp_path / jar.file_name).write_bytes(damage)
    (path,) = ensure_jars(tmp_path, [jar])
    assert path.read_bytes() == BODY


def test_wrong_content_is_refused_and_not_kept(repository, jar, tmp_path):
    repository["body"] = BODY[:-1] + b"!"
    with pytest.raises(DownloadError, match="SHA-256"):
        ensure_jars(tmp_path, [jar])
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, jars.ATTEMPTS)])
def test_a_refusal_is_final_and_an_outage_is_tried_again(repository, jar, tmp_path, status, requests):
    repository["status"] = status
    with pytest.raises(DownloadError, match=jar.file_name):
        ensure_jars(tmp_path, [jar])
    assert len(repository["requests"]) == requests


def test_without_a_network_one_sentence_says_what_to_do(monkeypatch, jar, tmp_path):
    monkeypatch.setenv(jars.MIRROR_VARIABLE, "http://127.0.0.1:9")
    monkeypatch.setattr(jars.time, "sleep", lambda _: None)
    with pytest.raises(DownloadError, match="check the network") as caught:
        ensure_jars(tmp_path, [jar])
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_named(monkeypatch, jar, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jars, "_continue_download", full)
    monkeypatch.setenv(jars.MIRROR_VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(DiskFullError, match="is full"):
        ensure_jars(tmp_path, [jar])


def test_progress_reaches_the_whole_size(repository, jar, tmp_path):
    seen = []
    ensure_jars(tmp_path, [jar], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(BODY), len(BODY))
