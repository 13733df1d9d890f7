"""Health: how lanes, producers and the event loop do in; well or not, why, and when to end, out.

In    facts, every second
Out   the body of /health, and the exit code of a worker that should be restarted
Not   measuring (bus/lane.py, bus/producer.py), ending the process (app.py)

A worker that hangs looks like one that has nothing to do. What tells them apart is a lag without
progress, an event the agent does not get done with, a record that is not acknowledged, a broker
that does not answer. Silence on the topic is none of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

STALLED, CANNOT_SEND = 4, 5  # exit codes
LIMIT_MS = 60_000  # for any of it
LOOP_LIMIT_MS = 10_000


class StageFacts(NamedTuple):
    """What `LaneFacts` of bus/lane_events.py says; durations in milliseconds."""

    topic: str
    lags: Mapping[int, int]
    stalled_ms: int
    busy_ms: int
    unanswered_ms: int
    committed_ms: int | None


class SendingFacts(NamedTuple):
    """For how long records have waited for an acknowledgement, and the last error since."""

    waiting_ms: int
    error: str | None


class Complaint(NamedTuple):
    """One thing that is wrong: what, for how long, and with which exit code it would end."""

    text: str
    for_ms: int
    exit_code: int


class Health:
    """What is wrong with this worker, as of the last facts."""

    def __init__(self, exit_after_ms: int | None) -> None:
        """exit_after_ms  how long something may be wrong before the worker ends; None is ever"""
        self.exit_after_ms = exit_after_ms
        self._stages: list[StageFacts] = []
        self._sending: list[SendingFacts] = []
        self._loop_lag_ms = 0

    def update(
        self, stages: list[StageFacts], sending: list[SendingFacts], loop_lag_ms: int
    ) -> None:
        """Replace the facts."""
        self._stages, self._sending, self._loop_lag_ms = stages, sending, loop_lag_ms

    def complaints(self) -> list[Complaint]:
        """Everything that has been wrong for too long."""
        found = [c for s in self._sending for c in _of_sending(s)]
        # An agent that waits for the broker is not at fault, and its lane cannot move: it stood
        # still some moments before it began to wait, and must not be blamed first.
        is_sending = any(2 * s.waiting_ms >= LIMIT_MS for s in self._sending)
        stages = [c for s in self._stages for c in _of_stage(s, is_sending=is_sending)]
        if self._loop_lag_ms >= LOOP_LIMIT_MS:
            text = f"the event loop was held up for {_seconds(self._loop_lag_ms)}"
            stages.append(Complaint(text, self._loop_lag_ms, STALLED))
        return found + stages

    def exit_code(self) -> int | None:
        """With which code the worker should end now, so that another one starts afresh."""
        if self.exit_after_ms is None:
            return None
        for complaint in self.complaints():
            if complaint.for_ms >= self.exit_after_ms:
                return complaint.exit_code
        return None

    def probe(self) -> tuple[bool, dict[str, Any]]:
        """Whether it is well, and the body of /health."""
        why = [complaint.text for complaint in self.complaints()]
        return not why, {
            "status": "failing" if why else "ok",
            "why": why,
            "loop_lag_seconds": self._loop_lag_ms / 1000,
            "stages": {
                stage.topic: {
                    "assigned": sorted(stage.lags),
                    "lag": sum(stage.lags.values()),
                    "no_progress_seconds": stage.stalled_ms / 1000,
                    "busy_seconds": stage.busy_ms / 1000,
                    "last_commit_seconds": _in_seconds(stage.committed_ms),
                }
                for stage in self._stages
            },
            "sending": [
                {"waiting_seconds": one.waiting_ms / 1000, "error": one.error}
                for one in self._sending
            ],
        }


def _of_sending(sending: SendingFacts) -> Iterator[Complaint]:
    if sending.waiting_ms >= LIMIT_MS:
        why = f": {sending.error}" if sending.error else ""
        text = f"the broker has acknowledged nothing for {_seconds(sending.waiting_ms)}{why}"
        yield Complaint(text, sending.waiting_ms, CANNOT_SEND)


def _of_stage(stage: StageFacts, *, is_sending: bool) -> Iterator[Complaint]:
    if stage.unanswered_ms >= LIMIT_MS and 2 * stage.busy_ms < LIMIT_MS:
        text = (
            f"{stage.topic}: the broker has answered no fetch for {_seconds(stage.unanswered_ms)}"
        )
        yield Complaint(text, stage.unanswered_ms, STALLED)
    if is_sending:
        return
    if stage.busy_ms >= LIMIT_MS:
        text = f"{stage.topic}: at one event for {_seconds(stage.busy_ms)}"
        yield Complaint(text, stage.busy_ms, STALLED)
    elif stage.stalled_ms >= LIMIT_MS:
        lag = sum(stage.lags.values())
        text = (
            f"{stage.topic}: {lag} messages to read and none read for {_seconds(stage.stalled_ms)}"
        )
        yield Complaint(text, stage.stalled_ms, STALLED)


def _seconds(duration_ms: int) -> str:
    return f"{duration_ms / 1000:.0f} s"


def _in_seconds(duration_ms: int | None) -> float | None:
    return None if duration_ms is None else duration_ms / 1000
