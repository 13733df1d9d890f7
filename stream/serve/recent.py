"""Recent: windows and alerts in, the last ones of this worker out.

For the JSON pages and the dashboard; the topics keep everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

MOST_WINDOWS = 500
MOST_ALERTS = 500


class Recent:
    """The last windows and alerts this worker has sent."""

    def __init__(self) -> None:
        self.windows: deque[Mapping[str, Any]] = deque(maxlen=MOST_WINDOWS)
        self.alerts: deque[Mapping[str, Any]] = deque(maxlen=MOST_ALERTS)

    def add(
        self, windows: Iterable[Mapping[str, Any]], alerts: Iterable[Mapping[str, Any]]
    ) -> None:
        """Remember what was sent."""
        self.windows.extend(windows)
        self.alerts.extend(alerts)

    def models(self) -> list[dict[str, Any]]:
        """The last window of each model, version and segment in short."""
        last = {(w["model"], w["version"], w["segment"]): w for w in self.windows}
        return [
            {key: w[key] for key in ("model", "version", "segment", "end", "count", "verdict")}
            for w in last.values()
        ]
