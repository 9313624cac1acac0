"""Where the embedded stack lives and which addresses it uses, from the environment."""

from collections.abc import Mapping
from pathlib import Path


def repo_root() -> Path:
    """The folder of the checkout this package is installed from, editable."""
    return Path(__file__).resolve().parents[4]


def home_dir(env: Mapping[str, str]) -> Path:
    """The data directory: $M0_HOME, else `.m0` in the repository."""
    value = env.get("M0_HOME")
    return Path(value).absolute() if value else repo_root() / ".m0"


def jars_dir(env: Mapping[str, str]) -> Path:
    """The jar cache shared by stacks and tests: $M0_JARS_DIR, else `.m0/cache/jars` in the repository."""
    value = env.get("M0_JARS_DIR")
    return Path(value).absolute() if value else repo_root() / ".m0" / "cache" / "jars"
