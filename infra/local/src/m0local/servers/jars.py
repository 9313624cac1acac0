"""The jars of Apache Kafka: a committed lock of coordinates, hashes and sizes, fetched into a cache and verified."""

import concurrent.futures
import errno
import fcntl
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from m0local.errors import DiskFullError, DownloadError

LOCK_FILE = Path(__file__).parent.parent / "data" / "jars.lock"
MIRROR_VARIABLE = "M0_MAVEN_MIRROR"
ATTEMPTS = 5
PARALLEL = 6
TIMEOUT_S = 60
CHUNK_BYTES = 1 << 16

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) while jars are fetched."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Path below a Maven repository's root."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


def read_lock(path: Path = LOCK_FILE) -> list[Jar]:
    """The jars of the lock in its order, which is the order of the class path. Raises ValueError on a bad line."""
    jars = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            coordinates, sha256, size = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, bytes.fromhex(sha256).hex(), int(size)))
        except ValueError as exc:
            raise ValueError(f"{path}:{number}: expected 'group:artifact:version sha256 size', got {line!r}") from exc
    return jars


def repository() -> str:
    """Root address of the Maven repository: $M0_MAVEN_MIRROR or the public one."""
    if mirror := os.environ.get(MIRROR_VARIABLE):
        return mirror.rstrip("/")
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - slow to import, needed only for downloads

    return str(MAVEN_CENTRAL_URL).rstrip("/")


def is_intact(path: Path, jar: Jar) -> bool:
    """Whether `path` holds exactly the locked bytes."""
    try:
        if path.stat().st_size != jar.size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def ensure_jars(cache: Path, jars: list[Jar] | None = None, progress: Progress | None = None) -> list[Path]:
    """Return the path of every locked jar in `cache`, verified; fetch what is missing, several at a time.

    Partial files of an interrupted run are continued. Two processes sharing a cache take turns.
    Raises DownloadError (no network, refused, wrong content) or DiskFullError.
    """
    jars = read_lock() if jars is None else jars
    paths = [cache / jar.file_name for jar in jars]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            missing = [jar for jar, path in zip(jars, paths, strict=True) if not is_intact(path, jar)]
            if missing:
                _fetch_all(cache, missing, progress)
    except OSError as exc:
        if exc.errno == errno.ENOSPC:
            raise DiskFullError(f"The disk of {cache} is full: free 50 MB or set M0_JARS_DIR, then run again.") from exc
        raise DownloadError(f"Cannot write Kafka's jars into {cache}: {exc.strerror}; set M0_JARS_DIR.") from exc
    return paths


def _fetch_all(cache: Path, jars: list[Jar], progress: Progress | None) -> None:
    root = repository()
    total = sum(jar.size_bytes for jar in jars)
    done = dict.fromkeys((jar.file_name for jar in jars), 0)

    def report(name: str, size: int) -> None:
        done[name] = size
        if progress:
            progress(sum(done.values()), total)

    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        futures = [pool.submit(_fetch, root, cache, jar, report) for jar in jars]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(root: str, cache: Path, jar: Jar, report: Callable[[str, int], None]) -> None:
    target = cache / jar.file_name
    part = target.with_suffix(".part")
    url = f"{root}/{jar.path}"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _continue_download(url, part, jar, report)
            if not is_intact(part, jar):
                part.unlink(missing_ok=True)
                raise DownloadError(
                    f"{jar.file_name} as served has not the locked SHA-256 {jar.sha256[:12]}…: "
                    f"do not use it; check {MIRROR_VARIABLE} or the proxy in between."
                )
            part.replace(target)
        except urllib.error.HTTPError as exc:
            if exc.code < 500 and exc.code not in (408, 429):
                raise DownloadError(
                    f"{jar.file_name} was refused with HTTP {exc.code}: check {MIRROR_VARIABLE}, then run again."
                ) from exc
            failure: Exception = exc
        except (OSError, http.client.HTTPException) as exc:
            if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
                raise
            failure = exc
        else:
            return
        if attempt == ATTEMPTS:
            raise DownloadError(
                f"Cannot download {jar.file_name} ({getattr(failure, 'reason', failure)}): check the network or the "
                f"proxy settings and run again, which continues where this stopped."
            ) from failure
        time.sleep(0.5 * 2**attempt)


def _continue_download(url: str, part: Path, jar: Jar, report: Callable[[str, int], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have > jar.size_bytes:
        part.unlink()
        have = 0
    if have == jar.size_bytes:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - the operator's mirror
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310 - content is checked by hash
        resumed = reply.status == http.client.PARTIAL_CONTENT
        have = have if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            while chunk := reply.read(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                if have > jar.size_bytes:
                    break
                report(jar.file_name, have)
    if have < jar.size_bytes:
        raise http.client.IncompleteRead(b"", jar.size_bytes - have)
