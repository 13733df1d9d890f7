"""Words: names and choices in, the same words checked out.

In    one value of a YAML file that should be text, a list of texts, or one of a few words
Out   the text, or a tuple of texts
Not   quantities (units.py); unknown keys (mistakes.py)

Every function raises ValueError with what is wrong and what is accepted.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

from stream.settings.units import shown

MAX_TEXT = 256  # characters of a name


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word a mistyped one most likely meant."""
    folded = {name.lower().replace("-", "_"): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), folded, n=1, cutoff=0.5)
    return folded[found[0]] if found else None


def text(value: object) -> str:
    """Text that is not empty, on one line."""
    if isinstance(value, int | float | bool):
        raise ValueError(f'{shown(value)} is not text; put it in quotes: "{shown(value)}"')
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        raise ValueError(f"{shown(value)} is not text; accepted: 1 to {MAX_TEXT} characters")
    if not value.isprintable():
        raise ValueError(f"{shown(value)} has control characters; accepted: printable text")
    return value


def texts(value: object) -> tuple[str, ...]:
    """One text or a list of different texts."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("the list is empty; accepted: one text or more")
    found = tuple(text(item) for item in items)
    for at, item in enumerate(found):
        if item in found[:at]:
            raise ValueError(f"{shown(item)} stands twice in the list; accepted: each once")
    return found


def choice(
    what: str, accepted: Iterable[str], planned: Mapping[str, str] | None = None
) -> Callable[[object], str]:
    """A checker for one of a few words; a planned word is refused with its own sentence."""
    known, later = tuple(accepted), planned or {}

    def check(value: object) -> str:
        if isinstance(value, str) and value in known:
            return value
        if isinstance(value, str) and value in later:
            raise ValueError(f"{shown(value)} is not supported yet; {_accepted(known, None)}")
        guess = nearest(value, known) if isinstance(value, str) else None
        raise ValueError(f"{shown(value)} is not {what}; {_accepted(known, guess)}")

    return check


def _accepted(known: tuple[str, ...], guess: str | None) -> str:
    return f"accepted: {', '.join(known)}" + (f" (nearest: {guess})" if guess else "")
