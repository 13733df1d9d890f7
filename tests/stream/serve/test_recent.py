"""Recent: the last windows and alerts, as they were sent."""

from __future__ import annotations

from typing import Any

import orjson

from stream.serve.recent import MOST_WINDOWS, Recent


def window(model: str, end: int, segment: str | None = None) -> dict[str, Any]:
    short = {"model": model, "version": "1", "segment": segment, "end": f"{end}Z"}
    return {**short, "count": end, "verdict": "ok", "features": {"x": {"mean": 1.5}}}


def alert(model: str, number: int) -> dict[str, Any]:
    return {"id": f"a{number}", "data": {"model": model}}


def test_the_last_come_first_as_they_were() -> None:
    recent = Recent()
    recent.add([window("m", 1), window("o", 2)], [alert("m", 1), alert("m", 2)])
    recent.add([window("m", 3)], [])
    assert orjson.loads(recent.windows()) == [window("m", 3), window("o", 2), window("m", 1)]
    assert orjson.loads(recent.alerts()) == [alert("m", 2), alert("m", 1)]


def test_one_model_may_be_asked_for() -> None:
    recent = Recent()
    recent.add([window("m", 1), window("o", 2)], [alert("o", 1)])
    assert orjson.loads(recent.windows("o")) == [window("o", 2)]
    assert orjson.loads(recent.alerts("m")) == []


def test_models_are_shown_with_their_last_window_in_short() -> None:
    recent = Recent()
    recent.add([window("m", 1), window("m", 2), window("m", 2, "site=a")], [])
    short = {"model": "m", "version": "1", "end": "2Z", "count": 2, "verdict": "ok"}
    assert orjson.loads(recent.models()) == [
        {**short, "segment": None},
        {**short, "segment": "site=a"},
    ]


def test_older_ones_make_room() -> None:
    recent = Recent()
    recent.add([window("m", end) for end in range(MOST_WINDOWS + 3)], [])
    ends = [one["count"] for one in orjson.loads(recent.windows())]
    assert (len(ends), ends[0], ends[-1]) == (MOST_WINDOWS, MOST_WINDOWS + 2, 3)
