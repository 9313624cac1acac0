"""The node's address is asked for at each request, and no error shows what is secret of it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from m0chain import ChainClient, Programs, RpcUnavailable, Timing
from m0common.errors import SettingsError
from m0common.secret import SecretUrl
from m0common.settings import Identity, Settings
from solders.pubkey import Pubkey

KEY = "key-that-nobody-may-see"
ONCE = Timing(attempts=1)

pytestmark = pytest.mark.loopback


@pytest.fixture
def gateway():
    """A node behind a gateway that refuses everything and repeats the address that was asked."""
    asked = []

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)
            body = f"forbidden: http://{self.headers['Host']}{self.path}".encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


async def test_an_error_of_a_refused_request_does_not_show_the_key_of_the_address(gateway):
    address, asked = gateway
    async with ChainClient(f"{address}/v2/{KEY}?api-key={KEY}", timing=ONCE) as client:
        with pytest.raises(RpcUnavailable) as refused:
            await client.head()
    assert asked == [f"/v2/{KEY}?api-key={KEY}"]
    assert KEY not in str(refused.value)


async def test_an_address_in_a_file_is_read_again_at_each_request(gateway, tmp_path):
    address, asked = gateway
    file = tmp_path / "url"
    async with ChainClient(SecretUrl(file=file), timing=ONCE) as client:
        with pytest.raises(RpcUnavailable, match=r"secret file .*url cannot be read"):
            await client.head()
        for key in ("first-of-the-keys", "second-of-the-keys", "third-of-the-keys"):
            file.write_text(f"{address}/{key}\n")
            with pytest.raises(RpcUnavailable) as refused:
                await client.head()
            assert key not in str(refused.value)
    assert asked == ["/first-of-the-keys", "/second-of-the-keys", "/third-of-the-keys"]


def test_programs_are_keys_out_of_the_settings_and_a_missing_one_is_named():
    oracle, registry = Pubkey.new_unique(), Pubkey.new_unique()
    named = Identity(oracle_program_id=str(oracle), registry_program_id=str(registry))
    assert Programs.of(Settings(deployment=named)) == Programs(oracle, registry)
    with pytest.raises(SettingsError, match="M0_REGISTRY_PROGRAM_ID"):
        Programs.of(Settings(deployment=Identity(oracle_program_id=str(oracle))))
