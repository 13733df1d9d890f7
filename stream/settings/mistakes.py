"""Mistakes: a section as it was written in, the checked section and everything wrong with it out.

In    raw data, its place, and the section it should be
Out   a `Checked` section, always: what was wrong has its default and is named in `wrong`
Not   the rules of a section (sections.py); checks between sections (models.py, bus.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from stream.errors import ConfigError
from stream.settings.document import Document, Place
from stream.settings.units import shown
from stream.settings.words import nearest, text


class Section(BaseModel):
    """One mapping of the file. Every key has a default, so that each can be judged alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The keys as they are written, in the order of the class."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())

    @classmethod
    def planned(cls) -> dict[str, str]:
        """Keys of the published format that this release does not act on, and what they mean."""
        return {}


S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Checked(Generic[S]):
    """A section, where it stands, which keys were given and which of them were wrong."""

    section: S
    place: Place
    given: frozenset[str]
    wrong: frozenset[str]

    def sound(self, *keys: str) -> bool:
        """True when none of these keys was given wrongly: checks across them mean something."""
        return self.wrong.isdisjoint(keys)


class Mistakes:
    """Collects what is wrong in one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: list[tuple[int, str]] = []

    def add(self, place: Place, what: str) -> None:
        """Note one mistake; `what` says what is wrong and what is accepted."""
        line = self._document.line(place)
        where = f"{place_text(place)}: " if place else ""
        self._found.append((line, f"{self._document.file}:{line}: {where}{what}"))

    def raise_all(self) -> None:
        """Raise ConfigError with every mistake, in the order of the file, if there is one."""
        if self._found:
            found = sorted(self._found, key=lambda item: item[0])
            raise ConfigError([mistake for _, mistake in found])

    def section(self, kind: type[S], data: object, place: Place) -> Checked[S]:
        """Check one mapping against its section; nothing at all (null) is an empty mapping."""
        raw = self.mapping(data, place)
        good, wrong = dict(raw), set[str]()
        while True:
            try:
                return Checked(kind.model_validate(good), place, frozenset(raw), frozenset(wrong))
            except ValidationError as error:
                for fault in error.errors(include_url=False):
                    key = str(fault["loc"][0])
                    self.add((*place, *fault["loc"]), _what(kind, key, dict(fault)))
                    wrong.add(key)
                    good.pop(key, None)

    def name(self, name: str, place: Place) -> None:
        """Check a key that the user chose: the name of a model or feature."""
        try:
            text(name)
        except ValueError as error:
            self.add(place, str(error))

    def mapping(self, data: object, place: Place) -> dict[str, Any]:
        """The mapping at a place; anything else is a mistake and counts as empty."""
        if data is None or isinstance(data, dict):
            return data or {}
        self.add(place, f"{_short(data)} is not a mapping; accepted: keys with values")
        return {}

    def items(self, data: object, place: Place) -> list[Any]:
        """The list at a place; anything else is a mistake and counts as empty."""
        if data is None or isinstance(data, list):
            return data or []
        self.add(place, f"{_short(data)} is not a list; accepted: entries that start with a dash")
        return []


def place_text(place: Place) -> str:
    """A place as it is printed: models.arrival-delay.rules[1].measure."""
    found = ""
    for part in place:
        found += f"[{part}]" if isinstance(part, int) else f".{part}" if found else str(part)
    return found


def _what(kind: type[Section], key: str, fault: dict[str, Any]) -> str:
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    if fault["type"] != "extra_forbidden":
        return f"{_short(fault['input'])}: {fault['msg']}"
    if key in kind.planned():
        return f"{kind.planned()[key]} is not supported yet; leave the key out in this release"
    guess = nearest(key, kind.keys())
    hint = f" (nearest: {guess})" if guess else ""
    return f"unknown key; accepted: {', '.join(kind.keys())}{hint}"


def _short(value: object) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return shown(value)
