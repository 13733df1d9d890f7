"""Document: a YAML file in, plain data and the line of every place out.

In    the path of a configuration file
Out   nested dicts, lists and scalars; `lines` maps each place to its line
Not   what the keys mean (sections.py)

YAML 1.2 words: only `true` and `false` are booleans, so that `on:` is a key and `NO` a category;
dates, octal numbers and `12:30` stay text. Keys are always text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stream.errors import ConfigError

Place = tuple[str | int, ...]

MAX_VALUES = 100_000  # aliases can expand a small file without end
MAX_DEPTH = 32
_CONTAINERS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq")}
_SCALARS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null")}


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's few implicit types."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(rf"^(?:{_pattern})$"),
        ["" if first == "\0" else first for first in _first],
    )


@dataclass(slots=True)
class Document:
    """What a file says, and where."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest place around it that was written."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_document(path: Path) -> Document:
    """Read one YAML mapping.

    Raises ConfigError when the file is unreadable, empty, not YAML or not a mapping, or when a
    key stands twice in one mapping.
    """
    text = _read_text(path)
    try:
        return _parse(text, str(path))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError([f"{path}:{line}: not YAML: {error.problem or error.context}"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{path}:1: not YAML: {str(error).splitlines()[0]}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}:1: nested too deep; accepted: {MAX_DEPTH} levels"]) from None


def _parse(text: str, file: str) -> Document:
    loader = _Loader(text)
    node = loader.get_single_node()
    if node is None:
        raise ConfigError([f"{file}:1: the file is empty; accepted: a mapping with models, bus …"])
    walk = _Walk(loader, Document(file))
    data = walk.value(node, ())
    if walk.mistakes:
        raise ConfigError(walk.mistakes)
    if not isinstance(data, dict):
        line = node.start_mark.line + 1
        raise ConfigError(
            [f"{file}:{line}: not a mapping; accepted: keys such as models: and bus:"]
        )
    walk.document.data = data
    return walk.document


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([f"{path}:{line}: not UTF-8 text (byte {error.start})"]) from None


class _Walk:
    """One pass over the node tree: builds the data, notes lines, finds repeated keys."""

    def __init__(self, loader: _Loader, document: Document) -> None:
        self.loader = loader
        self.document = document
        self.mistakes: list[str] = []
        self._values = 0
        self._merged: set[int] = set()  # nodes whose keys were compared before `<<` was expanded

    def value(self, node: yaml.Node, place: Place) -> Any:
        """The plain value of a node; every place below it gets its line."""
        self._values += 1
        if self._values > MAX_VALUES or len(place) > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem="too large or too deep once its aliases are expanded",
                problem_mark=node.start_mark,
            )
        self.document.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in _CONTAINERS:
            raise _tag_refused(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        return [self.value(item, (*place, at)) for at, item in enumerate(node.value)]

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag not in _SCALARS:
            raise _tag_refused(node)
        try:
            return self.loader.construct_object(node)
        except (ValueError, KeyError):  # `!!int x`, or more digits than Python reads
            raise _tag_refused(node) from None

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        if id(node) not in self._merged:
            self._merged.add(id(node))
            self._refuse_repeats(node)
            self.loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key, item in node.value:
            inner = (*place, _key_text(key))
            self.document.lines[inner] = key.start_mark.line + 1
            found[_key_text(key)] = self.value(item, inner)
        return found

    def _refuse_repeats(self, node: yaml.MappingNode) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            text, line = _key_text(key), key.start_mark.line + 1
            if text in first:
                self.mistakes.append(
                    f"{self.document.file}:{line}: {text}: written twice in one mapping "
                    f"(first on line {first[text]}); accepted: each key once"
                )
            first.setdefault(text, line)


def _tag_refused(node: yaml.Node) -> yaml.MarkedYAMLError:
    kind = node.tag.rpartition(":")[2]
    return yaml.MarkedYAMLError(
        problem=f"a value of the type {kind} cannot be read here", problem_mark=node.start_mark
    )


def _key_text(key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode):
        raise yaml.MarkedYAMLError(problem="a key must be text", problem_mark=key.start_mark)
    return str(key.value)
