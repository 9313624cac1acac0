"""Where an archive is: `file:///FOLDER` or `s3://BUCKET/PREFIX`."""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from m0common.errors import SettingsError

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""The name of a bucket."""


class Folder(NamedTuple):
    """A folder of this machine."""

    path: Path

    def __str__(self) -> str:
        return f"file://{self.path}"


class Bucket(NamedTuple):
    """A part of S3-compatible storage."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}{'/' if self.prefix else ''}{self.prefix}"


def read_address(url: str) -> Folder | Bucket:
    """What an address names. Raises SettingsError for one that is none, in words that do not hold credentials."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and not parts.query:
        return Folder(Path(unquote(parts.path)))
    if parts.scheme == "s3" and BUCKET.fullmatch(parts.netloc) and not parts.query and not parts.fragment:
        return Bucket(parts.netloc, unquote(parts.path).strip("/"))
    told = f"{parts.scheme}://…" if parts.scheme else "what has no scheme"
    raise SettingsError(
        f"no archive can lie at {told}: write M0_ARCHIVE_URL, or --archive, as file:///FOLDER or s3://BUCKET/PREFIX; "
        "the keys of a bucket are settings of their own, M0_ARCHIVE_ACCESS_KEY_ID_FILE and "
        "M0_ARCHIVE_SECRET_ACCESS_KEY_FILE"
    )
