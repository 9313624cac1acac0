"""What an argument of several commands must be, asked before anything is read: wrong use is one sentence."""

import re

import typer

_RELEASE = re.compile(r"(?!0{64})[0-9a-f]{64}")


def check_release(text: str, or_word: str = "") -> None:
    """Wrong use unless `text` is a release's hash in hex. `or_word` ends the sentence with what else may be given."""
    if not _RELEASE.fullmatch(text):
        raise typer.BadParameter(f"--release {text}: give 64 hex digits, not all 0{or_word}")
