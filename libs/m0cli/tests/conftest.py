"""The worlds of the heart's and m0replay's tests as modules: catalogs, and lanes in memory.

And a deployment for integrators on loopback: an API and a node with one finalized prediction.
"""

import importlib.util
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

_LIBS = Path(__file__).parents[2]
for _path in (
    _LIBS / "m0lanes/tests/lanes_toy.py",
    _LIBS / "m0lanes/tests/lanes_world.py",
    _LIBS / "m0replay/tests/catalog_world.py",
    _LIBS / "m0replay/tests/dice_world.py",
    _LIBS / "m0replay/tests/recorded_world.py",
    _LIBS / "m0cli/tests/doctor_world.py",
):
    if _path.stem not in sys.modules:
        _spec = importlib.util.spec_from_file_location(_path.stem, _path)
        sys.modules[_path.stem] = importlib.util.module_from_spec(_spec)
        _spec.loader.exec_module(sys.modules[_path.stem])


def _client_world():
    path = Path(__file__).parents[2] / "m0client" / "tests" / "m0client_world.py"
    spec = importlib.util.spec_from_file_location("m0client_world", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.World()


class Deployment:
    """An API and a node at one address; `bend` changes the proof the API hands out."""

    def __init__(self):
        self.world = _client_world()
        self.bend = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                proof = outer.world.proof(**outer.bend)
                if self.path.split("?")[0] == f"/v1/predictions/{proof['market_id']}/proof":
                    self.answer(200, json.dumps(proof).encode())
                else:
                    self.answer(404, json.dumps({"code": "market_not_found", "detail": "not in the registry"}).encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.answer(200, outer.world.answer(httpx2.Request("POST", "http://node", content=body)).content)

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def prediction(self, **changed):
        leaf = self.world.leaves[self.world.index]
        outcomes = [
            {"name": name, "p": o.p / 1e9, "lo": 0.0, "hi": 1.0, "p_ppb": o.p, "lo_ppb": o.lo, "hi_ppb": o.hi}
            for name, o in zip(("home", "draw", "away"), leaf.outcomes, strict=True)
        ]  # fmt: skip
        return {
            "market_id": self.world.market_id, "catalog": "sports", "epoch_id": self.world.epoch_id,
            "status": "finalized", "outcomes": outcomes, "risk_bps": 120, "quality_flags": [], "model": "pool",
            "model_key": "00", "features_hash": "00", "window_end_ms": self.world.window[1],
        } | changed  # fmt: skip


@pytest.fixture
def deployment():
    deployment = Deployment()
    yield deployment
    deployment.server.shutdown()
    deployment.server.server_close()
