"""Install: nothing in, a Java and a folder with Kafka's jars out.

In    the machine's Java; Maven and pom.xml the first time
Out   path of the Java program; path of a folder of jars, complete or absent
Not   running any of it (stream/broker.py)

The jars are resolved once into a cache folder: `$DRIFTLINE_CACHE`, else `~/.cache/driftline`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from stream.errors import SetupError

FILES = Path(__file__).parent  # pom.xml, keeper.py, log4j2.properties
OLDEST_JAVA = 17
OTHER_WAY = "or run Kafka in Docker: `docker compose -f docker-compose.kafka.yml up -d`"

Say = Callable[[str], None]


def silent(line: str) -> None:
    """Where progress goes when nobody wants it."""


def find_java() -> str:
    """Path of a Java that is new enough.

    Raises SetupError.
    """
    home = os.environ.get("JAVA_HOME")
    java = (shutil.which("java", path=f"{home}/bin") if home else None) or shutil.which("java")
    version = java_version(java) if java else None
    if java is None or version is None or version < OLDEST_JAVA:
        found = f"found Java {version}" if version else "found none"
        raise SetupError(
            f"Java {OLDEST_JAVA} or newer is missing ({found}): install it with "
            "`sudo apt install openjdk-17-jre-headless` (Debian, Ubuntu) or "
            f"`brew install openjdk@17` (macOS), {OTHER_WAY}"
        )
    return java


def java_version(java: str) -> int | None:
    """Major version, or None if there is no Java behind the command (macOS has such a stub)."""
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(found[1]) if found and done.returncode == 0 else None


def install(say: Say = silent) -> Path:
    """Folder with Kafka's jars; resolved by Maven if this machine does not have them yet.

    Safe when several processes ask at once: one resolves, the others wait.
    Raises SetupError if Maven is missing or cannot resolve.
    """
    libs = cache_folder()
    if libs.exists():
        return libs
    libs.parent.mkdir(parents=True, exist_ok=True)
    with (libs.parent / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not libs.exists():
            resolve_into(libs, say)
    return libs


def resolve_into(libs: Path, say: Say) -> None:
    """Run Maven into a temporary folder and rename that: a folder that exists is complete."""
    maven = shutil.which("mvn")
    if maven is None:
        raise SetupError(
            "Maven is missing, and Kafka is not in the cache yet: install it with "
            "`sudo apt install maven` (Debian, Ubuntu) or `brew install maven` (macOS), "
            f"{OTHER_WAY}"
        )
    say(f"resolving Apache Kafka {kafka_version()} with Maven into {libs} (once, about 40 MB)")
    with tempfile.TemporaryDirectory(prefix="kafka-", dir=libs.parent) as folder:
        fresh = Path(folder) / "libs"
        options = ["-B", "-q", "-Dstyle.color=never", "-DincludeScope=runtime"]
        goal = ["-f", str(FILES / "pom.xml"), "dependency:copy-dependencies"]
        command = [maven, *options, f"-DoutputDirectory={fresh}", *goal]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not fresh.exists():
            said = complaint(done.stdout + done.stderr)
            raise SetupError(f"Maven cannot resolve Kafka: {said}; {OTHER_WAY}")
        fresh.rename(libs)


def cache_folder() -> Path:
    """Where the jars of this version and this pom.xml are, or will be."""
    base = os.environ.get("DRIFTLINE_CACHE")
    users = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    # A part of the digest, so that a change of pom.xml alone is not served an old folder.
    digest = hashlib.sha256((FILES / "pom.xml").read_bytes()).hexdigest()[:8]
    folder = Path(base) if base else Path(users) / "driftline"
    return folder.absolute() / f"kafka-{kafka_version()}-{digest}"


def kafka_version() -> str:
    """The version pinned in pom.xml."""
    found = ElementTree.parse(FILES / "pom.xml").find(".//{*}kafka.version")
    assert found is not None
    assert found.text
    return found.text


def complaint(text: str) -> str:
    """The line of a program's output that says what is wrong."""
    exceptions = re.findall(r"\w+(?:Exception|Error): .+", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search("error|exception", line, re.IGNORECASE)]
    return (exceptions or errors or lines[-1:] or ["no output"])[0].removeprefix("[ERROR]").strip()
