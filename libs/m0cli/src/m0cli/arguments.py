"""What an argument of several commands must be, asked before anything is read: wrong use is one sentence."""

import re
from pathlib import Path

import typer

EPOCH_MAX = (1 << 63) - 1
PARTITION_MAX = 1_023
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_BUILD = re.compile(r"[0-9a-f]{10}")
_RELEASE = re.compile(r"(?!0{64})[0-9a-f]{64}")


def folder_named(text: str) -> Path:
    """A folder that an option names. Raises BadParameter for an empty one, which would be the present folder."""
    if not text.strip():
        raise typer.BadParameter("it is empty: name the deployment's folder")
    return Path(text)


def check_name(text: str, option: str) -> None:
    """Wrong use unless `text` may begin the name of an object of Kubernetes."""
    if not _NAME.fullmatch(text):
        raise typer.BadParameter(f"{option} {text!r}: give lower-case letters, digits and '-', a letter first")


def check_release(text: str, or_word: str = "", option: str = "--release") -> None:
    """Wrong use unless `text` is a release's hash in hex. `or_word` ends the sentence with what else may be given."""
    if not _RELEASE.fullmatch(text):
        raise typer.BadParameter(f"{option} {text}: give 64 hex digits, not all 0{or_word}")


def check_build(text: str) -> None:
    """Wrong use unless `text` is a build's id."""
    if not _BUILD.fullmatch(text):
        raise typer.BadParameter(f"{text}: give the 10 hex digits of a build, as `m0 release plan` shows them")


def is_epoch(text: str) -> bool:
    """Whether `text` is the number of an epoch that there can be."""
    return text.isdecimal() and len(text) <= len(str(EPOCH_MAX)) and int(text) <= EPOCH_MAX
