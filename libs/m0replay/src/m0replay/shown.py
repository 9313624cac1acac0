"""How people are shown what is too long to be read."""

RELEASE_DIGITS = 12


def short(release: str) -> str:
    """The first hex digits of a release, the same number wherever people read one; JSON has all 64."""
    return release[:RELEASE_DIGITS]
