"""Whose threads answer: a command that ends behind its last answer finds none that still holds something of Python."""

import subprocess
import sys

ASK = """
import asyncio, sys, threading
from m0archive.objects import opened
from m0common.settings import Archive

seen = set()
async def ask():
    store = opened(Archive(), "file://" + sys.argv[1])
    loop = asyncio.get_running_loop()
    inner = loop.call_soon_threadsafe
    def heard(*args, **options):
        seen.add(type(threading.current_thread()).__name__)
        return inner(*args, **options)
    loop.call_soon_threadsafe = heard
    await store.create("a", b"x")
    await store.put("b", b"y")
    assert await store.get("a") == b"x"
    assert sorted([each.name async for batch in store.list("") for each in batch]) == ["a", "b"]
asyncio.run(ask())
print(" ".join(sorted(seen)))
"""


def test_no_thread_that_python_does_not_know_answers(tmp_path):
    done = subprocess.run([sys.executable, "-c", ASK, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"Thread", "_MainThread"}, "a thread of somebody else's is a _DummyThread"
