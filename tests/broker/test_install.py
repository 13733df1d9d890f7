"""Finding Java and Kafka's jars, with programs that only pretend to be Java and Maven."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stream.broker import EmbeddedBroker
from stream.errors import SetupError
from stream.kafka.install import find_java, install

DOCKER = "docker compose -f docker-compose.kafka.yml up -d"
JAVA_17 = """echo 'openjdk version "17.0.15" 2025-04-15' >&2"""
# Writes one jar into the folder it was told, and a mark for each call.
MAVEN = """echo called >> "$CALLS"
for argument in "$@"; do case "$argument" in
  -DoutputDirectory=*) folder="${argument#*=}"; mkdir "$folder"; echo jar > "$folder/a.jar";;
esac; done"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An otherwise empty folder of programs, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("DRIFTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for name in ("mkdir", "sh"):
        (folder / name).symlink_to(f"/bin/{name}")
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_missing_java_says_how_to_get_it_and_the_other_way(programs: Path):
    with pytest.raises(SetupError) as refused:
        EmbeddedBroker().start()
    said = str(refused.value)
    assert "Java 17 or newer is missing (found none)" in said
    assert "apt install" in said
    assert "brew install" in said
    assert DOCKER in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("line", "version"), [('java version "1.8.0_402"', 8), ('openjdk version "11.0.2"', 11)]
)
def test_java_that_is_too_old_is_named(programs: Path, line: str, version: int):
    program(programs, "java", f"echo '{line}' >&2")
    with pytest.raises(SetupError, match=rf"\(found Java {version}\)"):
        find_java()


def test_a_java_that_only_asks_to_install_one_is_none(programs: Path):
    program(programs, "java", "echo 'Unable to locate a Java Runtime.' >&2; exit 1")
    with pytest.raises(SetupError, match="found none"):
        find_java()


def test_java_home_comes_before_the_path(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "jdk" / "bin"
    home.mkdir(parents=True)
    program(home, "java", JAVA_17)
    program(programs, "java", "exit 1")
    monkeypatch.setenv("JAVA_HOME", str(home.parent))
    assert find_java() == str(home / "java")


def test_missing_maven_says_how_to_get_it_and_the_other_way(programs: Path):
    with pytest.raises(SetupError, match="Maven is missing") as refused:
        install()
    assert DOCKER in str(refused.value)


def test_what_maven_complains_of_is_passed_on_and_nothing_stays(programs: Path, tmp_path: Path):
    program(programs, "mvn", "echo '[ERROR] no such host'; exit 1")
    with pytest.raises(SetupError, match="cannot resolve Kafka: no such host"):
        install()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["kafka.lock"]


def test_a_second_install_uses_the_first(programs: Path, tmp_path: Path):
    program(programs, "mvn", MAVEN)
    assert (install() / "a.jar").exists()
    assert install() == install()
    assert (tmp_path / "calls").read_text() == "called\n"


def test_of_several_installs_at_once_one_resolves(programs: Path, tmp_path: Path):
    program(programs, "mvn", MAVEN)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: install(), range(4)))
    assert len(folders) == 1
    assert (tmp_path / "calls").read_text() == "called\n"


def test_the_cache_is_in_the_users_cache_folder(programs: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DRIFTLINE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ["CALLS"] + "-cache")
    program(programs, "mvn", MAVEN)
    assert install().parent == Path(os.environ["CALLS"] + "-cache") / "driftline"


def test_progress_is_said_only_when_something_is_resolved(programs: Path):
    program(programs, "mvn", MAVEN)
    said: list[str] = []
    install(said.append)
    install(said.append)
    assert len(said) == 1
    assert "resolving Apache Kafka" in said[0]
