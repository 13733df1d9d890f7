"""Units: quantities as a person writes them in, plain numbers out.

In    one value of a YAML file: `90s`, `5%`, `1 per week`, `2 windows`, `1 MiB`
Out   milliseconds, ratios, alarms per week, windows, bytes
Not   words and choices (words.py); where the value stands (mistakes.py)

Every function raises ValueError with what is wrong and what is accepted.
"""

from __future__ import annotations

import math
import re

_DURATION_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d{1,6})?(?:ms|[smhdw])\s*)+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_DURATION_HINT = "accepted: a number with a unit, ms, s, m, h, d or w, such as 90s, 5m or 1h30m"
MAX_DURATION_MS = 366 * 86_400_000

_PER_WEEK = {"hour": 168.0, "day": 7.0, "week": 1.0, "month": 7 / 30.4375, "year": 7 / 365.25}
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s+per\s+(hour|day|week|month|year)")
_POWER = re.compile(r"(\d{1,2}(?:\.\d{1,6})?)%\s+at\s+psi\s+(\d{1,3}(?:\.\d{1,6})?)")
_WINDOWS = re.compile(r"(\d{1,9})(?:\s+windows?)?")
MAX_WINDOWS = 1_000
_BYTES = re.compile(r"(\d{1,12})\s*(B|KiB|MiB)?")
_BYTES_FACTOR = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024 * 1024}


def shown(value: object) -> str:
    """A value as a message quotes it: short, on one line, text in quotes."""
    text = f'"{value}"' if isinstance(value, str) else "null" if value is None else str(value)
    if isinstance(value, bool):
        text = text.lower()
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "…" + text[-1]


def duration_ms(value: object) -> int:
    """A duration in milliseconds; parts may be joined (`1h30m`)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value == 0:
            return 0
        raise ValueError(f"{shown(value)} has no unit; {_DURATION_HINT}")
    if not isinstance(value, str) or not _DURATION.fullmatch(value.strip()):
        raise ValueError(f"{shown(value)} is not a duration; {_DURATION_HINT}")
    parts = _DURATION_PART.findall(value)
    total = sum(float(number) * _DURATION_MS[unit] for number, unit in parts)
    if total != round(total):
        raise ValueError(f"{shown(value)} is finer than 1ms; accepted: whole milliseconds")
    if total > MAX_DURATION_MS:
        raise ValueError(f"{shown(value)} is longer than 366d; accepted: at most 366d")
    return round(total)


def written(duration: int) -> str:
    """A duration in milliseconds as a person would write it: 90000 is 90s, 3600000 is 1h."""
    for unit in ("w", "d", "h", "m", "s"):
        if duration and duration % _DURATION_MS[unit] == 0:
            return f"{duration // _DURATION_MS[unit]}{unit}"
    return f"{duration}ms"


def number(value: object) -> float:
    """A finite number, or a percentage as a ratio."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return _percentage(value)
    try:
        found = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        found = math.inf
    if isinstance(value, bool) or not math.isfinite(found):
        raise ValueError(f"{shown(value)} is not a number; accepted: a number or a percentage")
    return found


def ratio(value: object) -> float:
    """A share in [0, 1], written `5%` or 0.05."""
    try:
        found = number(value)
    except ValueError:
        found = math.nan
    if not 0.0 <= found <= 1.0:
        raise ValueError(f"{shown(value)} is not a share; accepted: 0% to 100%, or 0 to 1")
    return found


def alarms_per_week(value: object) -> float:
    """A budget of false alarms such as `1 per week`, as alarms per week."""
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or float(found[1]) == 0:
        hint = "accepted: a number above 0 per hour, day, week, month or year, such as 1 per week"
        raise ValueError(f"{shown(value)} is not a budget; {hint}")
    return float(found[1]) * _PER_WEEK[found[2]]


def power(value: object) -> tuple[float, float]:
    """What a window should find, such as `80% at psi 0.25`: a chance below 1, and the change."""
    found = _POWER.fullmatch(value.strip()) if isinstance(value, str) else None
    chance, psi = (float(found[1]) / 100, float(found[2])) if found else (0.0, 0.0)
    if not (0.0 < chance < 1.0 and psi > 0.0):
        hint = "accepted: a chance and a change above 0, such as 80% at psi 0.25"
        raise ValueError(f"{shown(value)} is not a power; {hint}")
    return chance, psi


def windows(value: object) -> int:
    """A count of windows, written `2 windows` or 2."""
    found = _WINDOWS.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if found is None or not 1 <= int(found[1]) <= MAX_WINDOWS:
        hint = f"accepted: 1 to {MAX_WINDOWS} windows, such as 2 windows"
        raise ValueError(f"{shown(value)} is not a count of windows; {hint}")
    return int(found[1])


def size_bytes(value: object) -> int:
    """A size in bytes, written 65536, `64 KiB` or `1 MiB`."""
    found = _BYTES.fullmatch(str(value).strip())
    if found is None or int(found[1]) == 0:
        hint = "accepted: bytes above 0, or with KiB or MiB"
        raise ValueError(f"{shown(value)} is not a size; {hint}")
    return int(found[1]) * _BYTES_FACTOR[found[2]]


def whole(low: int, high: int, value: object) -> int:
    """A whole number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(
            f"{shown(value)} is out of range; accepted: a whole number {low} to {high}"
        )
    return value


def _percentage(value: str) -> float:
    try:
        found = float(value.strip()[:-1]) / 100
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{shown(value)} is not a percentage; accepted: such as 5%")
    return found
