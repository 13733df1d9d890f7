"""Texts: nothing in a tracked file that belongs to one machine or one place on the network."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.house.sources import ROOT, project_files

# Written in pieces so that this file does not name them itself.
HOSTS = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "repo1.mav" + "en.org",
    "repo.mav" + "en.apache.org",
    "npm" + "js.org",
    "crates" + ".io",
    "ana" + "conda.org",
    "deb.deb" + "ian.org",
    "archive.ubu" + "ntu.com",
)
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:home|root|Users|work)/[\w.]")
LOCK = "requirements.lock"


def lines_of_texts() -> list[tuple[str, int, str]]:
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # data
        place = path.relative_to(ROOT).as_posix()
        found += [(place, at, line) for at, line in enumerate(text.splitlines(), 1)]
    return found


def test_no_file_names_a_package_registry() -> None:
    found = [
        f"{place}:{at}: {host}"
        for place, at, line in lines_of_texts()
        for host in HOSTS
        if host in line
    ]
    assert found == []


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    found = [
        f"{place}:{at}: {line}" for place, at, line in lines_of_texts() if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", ["see /ho" + "me/ann/x", '"/wo' + 'rk/main"', "(/ro" + "ot/.cache)"]
)
def test_a_folder_of_a_machine_is_noticed(text: str) -> None:
    assert MACHINE_PATH.search(text)


def pins() -> dict[str, str]:
    """Name and version of everything the lock file pins."""
    found = re.findall(r"(?m)^([\w.-]+)==([\w.]+)", (ROOT / LOCK).read_text())
    return {name.lower(): version for name, version in found}


def test_the_lock_has_hashes_and_options_of_no_installer() -> None:
    lines = (ROOT / LOCK).read_text().splitlines()
    assert [line for line in lines if line.startswith("-") or "://" in line] == []
    assert sum("--hash=sha256:" in line for line in lines) > len(pins())


def test_the_lock_pins_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.split(r"[<>=!~ ;\[]", line)[0].lower() for line in wanted}
    assert names - set(pins()) == set()


def test_faust_is_pinned_to_the_release_that_was_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"faust-streaming=={pins()['faust-streaming']}" in project["dependencies"]


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first = re.search(r"(?m)^## (?!Unreleased)(\S+)", (ROOT / "CHANGELOG.md").read_text())
    assert first is not None
    assert first[1] == version
