"""Write requirements.lock (what runs) and requirements-dev.lock (tools and tests too) from what packages declare.

Both pin every package by version and hash and name no download host; uv.lock, which does, stays out of the repository.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPORT = ("export", "--frozen", "--no-emit-workspace", "--no-header", "--no-annotate", "--format", "requirements-txt")
LOCKS = {"requirements.lock": "--no-default-groups", "requirements-dev.lock": "--all-groups"}


def main() -> int:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "lock"], cwd=ROOT, check=True)
    for name, groups in LOCKS.items():
        text = subprocess.run([uv, *EXPORT, groups], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        if "://" in text:
            raise SystemExit(f"{name} would name a download host: a dependency is given by URL, use an index instead.")
        (ROOT / name).write_text(text)
        print(f"{name}: {sum(not line.startswith(' ') for line in text.splitlines())} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
