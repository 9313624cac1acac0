"""An empty folder for each test, and a node that refuses every request and repeats its address."""

import importlib.util
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

for _name in ("deployed", "secured_kafka"):
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).with_name(f"{_name}.py"))
    sys.modules[_name] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)

import deployed  # noqa: E402 - loaded above


class _Refusing(BaseHTTPRequestHandler):
    """Answers as gateways do: 403, with the address that was asked in the body."""

    def do_POST(self) -> None:
        body = f"forbidden: http://{self.headers['Host']}{self.path}".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture(scope="session")
def node() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> "deployed.Folder":
    made = deployed.Folder(tmp_path / "empty", tmp_path / "mounted")
    made.cwd.mkdir()
    made.mounted.mkdir()
    return made
