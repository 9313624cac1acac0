"""Exit with 0 when this container's process says that it is healthy."""

import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    """Asks /health on the port that the process serves."""
    bind = os.environ.get("M0_BIND") or os.environ.get("M0_PROMETHEUS_BIND") or "0.0.0.0:9464"
    port = bind.rpartition(":")[2]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
