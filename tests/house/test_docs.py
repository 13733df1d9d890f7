"""Docs: every path, command, key and link that is named exists, and every example is accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest

import stream.cli
from stream import settings
from stream.settings.sections import MEASURES, OBJECTIVES, SECTIONS
from tests.house.sources import ROOT, project_files

PAGES = tuple(
    path for path in project_files() if path.suffix == ".md" and path.name != "CHANGELOG.md"
)
CODE = re.compile(r"(?ms)^```(\w*)[^\n]*\n(.*?)^```")
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
TOP_LEVEL = {"kernels", "stream", "tests", "benchmarks", "examples", "docs", ".ci"}
ROOT_FILE = re.compile(r"[A-Z]+\.md|Makefile|pyproject\.toml|requirements\.lock|[\w-]+\.kafka\.yml")
COMMAND = re.compile(r"(?m)(?:^|[`$;&|(] ?|\.venv/bin/)(driftline|make) +([a-z][\w-]*)(?: +(\w+))?")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def codes(text: str) -> list[str]:
    """Blocks of code and words in backticks."""
    return [body for _, body in CODE.findall(text)] + INLINE.findall(CODE.sub("", text))


def paths_in(text: str) -> set[str]:
    """Words in backticks that name a file or folder of this repository."""
    words = {word for code in INLINE.findall(CODE.sub("", text)) for word in code.split()}
    words = {word.rstrip(",.;:").removeprefix("./") for word in words}
    return {
        word
        for word in words
        if ROOT_FILE.fullmatch(word) or ("/" in word and word.split("/")[0] in TOP_LEVEL)
    }


def is_there(name: str) -> bool:
    if "<" in name or "…" in name:
        name = re.sub(r"<[^>]*>|…", "*", name)
    return (ROOT / name).exists() or any(ROOT.glob(name)) if "*" in name else (ROOT / name).exists()


def commands_in(text: str) -> set[tuple[str, ...]]:
    """Every `driftline …` and `make …` of a page, as words."""
    found = COMMAND.findall("\n".join(f"`{code}" for code in codes(text)))
    return {tuple(word for word in words if word) for words in found}


def make_targets() -> set[str]:
    return set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))


def step(node: click.Command, word: str) -> click.Command | None:
    """The command of this name in a group; commands are loaded when asked for."""
    return node.get_command(click.Context(node), word) if isinstance(node, click.Group) else None


def exists(command: tuple[str, ...]) -> bool:
    """Whether a command line is one of ours: `make x`, `driftline x`, `driftline x y`."""
    program, *words = command
    if program == "make":
        return words[0] in make_targets()
    node: click.Command = stream.cli.cli
    for word in words:
        found = step(node, word)
        if found is None:
            return not isinstance(node, click.Group)  # then it is an argument of a command
        node = found
    return True


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_a_page_names_exists(page: Path) -> None:
    assert {name for name in paths_in(page.read_text()) if not is_there(name)} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_a_page_names_exists(page: Path) -> None:
    assert {words for words in commands_in(page.read_text()) if not exists(words)} == set()


def options_in(text: str) -> set[tuple[str, str]]:
    """Every (command line without options, option) of the lines that call `driftline`."""
    lines = "\n".join(codes(text)).replace("\\\n", " ").splitlines()
    return {
        (" ".join(command.split()), option)
        for line in lines
        for command, rest in re.findall(r"^(?:\S*/)?driftline((?: [a-z]+)+)(.*)", line.strip())
        for option in re.findall(r"(?<=\s)--?[a-z][\w-]*", rest.partition(" #")[0])
    }


def options_of(command: str) -> set[str]:
    """The options a command takes."""
    node: click.Command = stream.cli.cli
    for word in command.split():
        node = step(node, word) or node
    return {option for parameter in node.params for option in parameter.opts}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_a_page_names_exists(page: Path) -> None:
    wanted = options_in(page.read_text())
    assert {(words, name) for words, name in wanted if name not in options_of(words)} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    targets = {link.partition("#")[0] for link in LINK.findall(CODE.sub("", page.read_text()))}
    local = {link for link in targets if link and "://" not in link}
    assert {link for link in local if not (page.parent / link).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_yaml_example_is_an_accepted_configuration(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTLINE_PASSWORD", "for the example")
    (tmp_path / "ca.pem").touch()
    blocks = [body for language, body in CODE.findall(page.read_text()) if language == "yaml"]
    for at, body in enumerate(blocks):
        path = tmp_path / f"{at}.yaml"
        path.write_text(body)
        settings.load(path)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def documented_keys() -> dict[str, set[str]]:
    """Keys of `docs/configuration.md` by section: a heading with the place, a row for each key."""
    found: dict[str, set[str]] = {}
    place = None
    for line in (ROOT / "docs/configuration.md").read_text().splitlines():
        if line.startswith("#"):
            heading = re.search(r"`([^`]*)`", line)
            place = heading[1] if heading else "" if "top level" in line.lower() else None
        row = re.match(r"\| `([\w-]+)` \|(.*\|){3}$", line)
        if row and place is not None:
            found.setdefault(place, set()).add(row[1])
    return found


@pytest.mark.parametrize("place", SECTIONS, ids=lambda place: place or "top level")
def test_every_key_of_the_configuration_is_documented(place: str) -> None:
    assert documented_keys().get(place, set()) == set(SECTIONS[place].keys())


@pytest.mark.parametrize("name", [*MEASURES, *OBJECTIVES])
def test_every_measure_and_objective_is_documented(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs/configuration.md").read_text()


@pytest.mark.parametrize("rule", settings.default_rules({}), ids=lambda rule: rule.name)
def test_every_default_rule_is_documented(rule: Any) -> None:
    assert f"| `{rule.name}` |" in (ROOT / "docs/configuration.md").read_text()


def test_a_command_and_a_path_that_do_not_exist_are_noticed() -> None:
    text = "Run `make tea`, or\n```sh\ndriftline brew --hot\n```\nand read `docs/tea.md`."
    assert commands_in(text) == {("make", "tea"), ("driftline", "brew")}
    assert options_in(text) == {("brew", "--hot")}
    assert not exists(("make", "tea"))
    assert not exists(("driftline", "brew"))
    assert exists(("driftline", "topics", "create"))
    assert "--rate" in options_of("publish")
    assert not is_there("docs/tea.md")
    assert paths_in(text) == {"docs/tea.md"}
