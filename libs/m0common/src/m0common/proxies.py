"""A machine's own addresses are asked directly, whatever proxy it uses for the rest of the world."""

from collections.abc import Mapping

OWN = ("127.0.0.1", "localhost", "::1")
VARIABLES = ("NO_PROXY", "no_proxy")


def direct(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that except loopback from proxies, the user's own exceptions first; none when no proxy is set."""
    if not any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" and env[name] for name in env):
        return {}
    given = [part.strip() for name in VARIABLES for part in env.get(name, "").split(",") if part.strip()]
    return dict.fromkeys(VARIABLES, ",".join(dict.fromkeys([*given, *OWN])))
