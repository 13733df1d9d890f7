"""Recent: windows and alerts in, the last ones of this worker out.

In    windows and alerts as they were sent
Out   JSON, by model if asked
Not   all of them: the topics keep everything

They are kept as deflated JSON, a tenth of what the objects of a window take: a worker's memory
should not grow for the hours until as many have been seen.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

MOST_WINDOWS = 500
MOST_ALERTS = 500
SHORT = ("model", "version", "segment", "end", "count", "verdict")


class _Kept(NamedTuple):
    model: str
    short: tuple[Any, ...]  # of a window
    deflated: bytes


class Recent:
    """The last windows and alerts this worker has sent; may be read in another thread."""

    def __init__(self) -> None:
        self._windows: deque[_Kept] = deque(maxlen=MOST_WINDOWS)
        self._alerts: deque[_Kept] = deque(maxlen=MOST_ALERTS)

    def add(
        self, windows: Iterable[Mapping[str, Any]], alerts: Iterable[Mapping[str, Any]]
    ) -> None:
        """Remember what was sent."""
        for window in windows:
            short = tuple(window[key] for key in SHORT)
            self._windows.append(_Kept(window["model"], short, _deflated(window)))
        for alert in alerts:
            self._alerts.append(_Kept(alert["data"]["model"], (), _deflated(alert)))

    def windows(self, model: str | None = None) -> bytes:
        """Windows as a JSON array, those of one model if it is given, the last one first."""
        return _array(self._windows, model)

    def alerts(self, model: str | None = None) -> bytes:
        """The same of alerts."""
        return _array(self._alerts, model)

    def models(self) -> bytes:
        """The last window of each model, version and segment in short, as a JSON array."""
        last = {kept.short[:3]: kept.short for kept in list(self._windows)}
        return orjson.dumps([dict(zip(SHORT, short, strict=True)) for short in last.values()])


def _deflated(item: Mapping[str, Any]) -> bytes:
    return zlib.compress(orjson.dumps(item), 1)


def _array(kept: deque[_Kept], model: str | None) -> bytes:
    chosen = [one for one in list(kept) if model in (None, one.model)]
    return b"[" + b",".join(zlib.decompress(one.deflated) for one in reversed(chosen)) + b"]"
