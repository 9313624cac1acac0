"""Exit with 0 when this container's process says that it is healthy."""

import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    """Asks /health where M0_PROMETHEUS_BIND says that it is answered."""
    port = os.environ["M0_PROMETHEUS_BIND"].rpartition(":")[2]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
